#include "io/input.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "io/support.h"

namespace penstock::io {
namespace {

class Inputs : public ::testing::Test {
 protected:
  std::vector<std::string> names(const std::vector<std::string>& sources) {
    std::vector<std::string> found;
    const std::string root = directory_.path();
    for (const Input& input : expand_inputs(sources)) {
      found.push_back(input.standard_input ? "-" : input.name.substr(std::min(root.size(), input.name.size())));
    }
    return found;
  }
  std::string config_error(const std::string& source) {
    try {
      expand_inputs(std::vector<std::string>{source});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      return error.what();
    }
    return {};
  }
  test::TemporaryDirectory directory_;
};

using Names = std::vector<std::string>;

TEST_F(Inputs, TakesPathsInTheirOrderAndEachOnce) {
  const std::string b = directory_.write("b.csv", "12345");
  const std::string a = directory_.write("a.csv", "1");
  EXPECT_EQ(names({b, "-", a, directory_.path("./a.csv"), "-"}), (Names{"b.csv", "-", "a.csv"}));
  const auto inputs = expand_inputs(std::vector<std::string>{b});
  EXPECT_EQ(inputs.at(0).size, 5u);
}

TEST_F(Inputs, ExpandsPatternsSorted) {
  for (const char* name : {"x/cpu-10.lp", "x/cpu-2.lp", "x/mem.lp", "y/cpu.lp.gz", "[1].lp"})
    directory_.write(name, "a\n");
  EXPECT_EQ(names({directory_.path("x/cpu*.lp")}), (Names{"x/cpu-10.lp", "x/cpu-2.lp"}));
  EXPECT_EQ(names({directory_.path("{y,x}/[cm]*")}), (Names{"x/cpu-10.lp", "x/cpu-2.lp", "x/mem.lp", "y/cpu.lp.gz"}));
  EXPECT_EQ(names({directory_.path("[1].lp")}), (Names{"[1].lp"})) << "a file with just this name comes first";
}

TEST_F(Inputs, WalksDirectoriesWithoutHiddenFilesAndLoops) {
  for (const char* name : {"d/2.lp", "d/1.lp", "d/sub/3.lp", "d/.hidden", "d/.git/x"}) directory_.write(name, "a\n");
  ASSERT_EQ(::symlink("..", directory_.path("d/sub/up").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", directory_.path("d/dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo(directory_.path("d/fifo").c_str(), 0600), 0);
  EXPECT_EQ(names({directory_.path("d")}), (Names{"d/1.lp", "d/2.lp", "d/dangling", "d/sub/3.lp"}));
}

TEST_F(Inputs, SaysWhatIsMissing) {
  EXPECT_NE(config_error(directory_.path("none.csv")).find("no such file: '"), std::string::npos);
  EXPECT_NE(config_error(directory_.path("none*.csv")).find("no file matches '"), std::string::npos);
  EXPECT_NE(config_error(""), "");
  directory_.write("empty/.hidden", "");
  EXPECT_NE(config_error(directory_.path("empty")).find("holds no file"), std::string::npos);
  directory_.write("plain", "");
  EXPECT_NE(config_error(directory_.path("plain/below")).find("no such file"), std::string::npos);
}

TEST_F(Inputs, LeavesUnreadableFilesToTheirOpening) {
  const std::string path = directory_.path("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const auto inputs = expand_inputs(std::vector<std::string>{path});
  ASSERT_EQ(inputs.size(), 1u);
  EXPECT_NE(test::read_all(path, {}).error.find("it is a socket"), std::string::npos);
  EXPECT_NE(test::read_all(directory_.path(), {}).error.find("it is a directory"), std::string::npos);
  EXPECT_NE(test::read_all(directory_.path("gone"), {}).error.find("no such file"), std::string::npos);
  EXPECT_NE(test::read_all("/dev/zero", {}).error.find("it is a device"), std::string::npos);
  EXPECT_EQ(test::read_all("/dev/null", {}).error, "");
  ::close(fd);
}

}  // namespace
}  // namespace penstock::io
