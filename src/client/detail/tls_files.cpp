#include "client/detail/tls_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/text.h"
#include "client/errors.h"

namespace penstock::client::detail {
namespace {

class Files {
 public:
  Files(SSL_CTX* tls, const Options& options, const std::string& endpoint)
      : tls_(tls), options_(options), endpoint_(endpoint) {}

  void load() {
    ERR_clear_error();
    authorities();
    if (options_.certificate_file.empty()) return;
    certificate();
    key();
  }

 private:
  [[noreturn]] void refuse(std::string_view what, const std::string& file, std::string_view why) const {
    ERR_clear_error();
    throw ConnectionError(Errc::config, fmt::format("cannot use the {} '{}': {}", what, printable(file, 300), why),
                          Place{endpoint_, "connect", 0});
  }

  // OpenSSL's own words about files are "system lib" and the like.
  void must_open(std::string_view what, const std::string& file) const {
    const int opened = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0) refuse(what, file, errno_text(errno));
    struct stat status {};
    const bool folder = ::fstat(opened, &status) == 0 && S_ISDIR(status.st_mode);
    ::close(opened);
    if (folder) refuse(what, file, "it is a directory; give a file in PEM form");
  }

  static std::string reason() {
    const auto code = ERR_peek_last_error();
    const char* const text = ERR_reason_error_string(code);
    return text == nullptr ? std::string("it cannot be read") : std::string(text);
  }

  void authorities() {
    constexpr std::string_view kWhat = "CA file (tls_ca)";
    const auto& file = options_.ca_file;
    if (file.empty()) {
      SSL_CTX_set_default_verify_paths(tls_);
      return;
    }
    must_open(kWhat, file);
    if (SSL_CTX_load_verify_file(tls_, file.c_str()) != 1)
      refuse(kWhat, file, fmt::format("it holds no certificate in PEM form ({})", reason()));
  }

  void certificate() {
    constexpr std::string_view kWhat = "client certificate (tls_cert)";
    const auto& file = options_.certificate_file;
    must_open(kWhat, file);
    if (SSL_CTX_use_certificate_chain_file(tls_, file.c_str()) != 1)
      refuse(kWhat, file, fmt::format("it holds no certificate in PEM form ({})", reason()));
  }

  void key() {
    constexpr std::string_view kWhat = "key of the client certificate (tls_key)";
    const auto& file = options_.key_file;
    must_open(kWhat, file);
    // Without a callback of ours OpenSSL would ask on the terminal.
    bool asked = false;
    SSL_CTX_set_default_passwd_cb_userdata(tls_, &asked);
    SSL_CTX_set_default_passwd_cb(tls_, [](char*, int, int, void* data) {
      *static_cast<bool*>(data) = true;
      return -1;
    });
    const bool loaded = SSL_CTX_use_PrivateKey_file(tls_, file.c_str(), SSL_FILETYPE_PEM) == 1;
    const auto code = ERR_peek_last_error();
    SSL_CTX_set_default_passwd_cb(tls_, nullptr);
    SSL_CTX_set_default_passwd_cb_userdata(tls_, nullptr);
    if (asked)
      refuse(kWhat, file,
             "it is protected by a password, which penstock does not ask for; give it without one, readable by its "
             "owner only (openssl pkey -in KEY -out PLAIN; chmod 600 PLAIN)");
    const bool other = ERR_GET_LIB(code) == ERR_LIB_X509 && (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
                                                             ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
    if ((!loaded && other) || (loaded && SSL_CTX_check_private_key(tls_) != 1))
      refuse(kWhat, file, fmt::format("it does not belong to the certificate '{}'", options_.certificate_file));
    if (!loaded) refuse(kWhat, file, fmt::format("it holds no private key in PEM form ({})", reason()));
  }

  SSL_CTX* tls_;
  const Options& options_;
  const std::string& endpoint_;
};

}  // namespace

void load_tls_files(SSL_CTX* tls, const Options& options, const std::string& endpoint) {
  Files(tls, options, endpoint).load();
}

}  // namespace penstock::client::detail
