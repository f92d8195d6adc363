#include "base/md5.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <random>
#include <string>

#include "base/hash.h"

namespace penstock {
namespace {

TEST(Md5, GivesTheDigestsOfItsSpecification) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(md5_hex("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
            "d174ab98d277d9f5a5611c2c9f419d9f");
}

TEST(Md5, AgreesWithAnotherImplementationAtEveryLength) {
  std::mt19937 random(1);
  std::string text;
  for (std::size_t length = 0; length < 400; ++length) {
    Md5 expected{};
    unsigned int size = 0;
    ASSERT_EQ(EVP_Digest(text.data(), text.size(), expected.data(), &size, EVP_md5(), nullptr), 1);
    EXPECT_EQ(md5(text), expected) << length;
    text += static_cast<char>(random());
  }
}

}  // namespace
}  // namespace penstock
