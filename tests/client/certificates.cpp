#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

#include "client/scripted_server.h"

namespace penstock::client {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() { return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), &EVP_PKEY_free}; }

void extend(X509* certificate, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  auto* const extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  if (extension == nullptr) throw std::runtime_error("bad certificate extension " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate make_certificate(const std::string& subject, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                             long serial) {
  Certificate certificate(X509_new(), &X509_free);
  X509* const x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 24 * 3600);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer == nullptr ? x : issuer));
  if (issuer == nullptr) {
    extend(x, NID_basic_constraints, "critical,CA:TRUE");
  } else {
    const bool address = subject.find_first_not_of("0123456789.") == std::string::npos;
    extend(x, NID_subject_alt_name, (address ? "IP:" : "DNS:") + subject);
  }
  X509_sign(x, issuer_key, EVP_sha256());
  return certificate;
}

template <class Write>
std::string write_file(const std::string& path, Write&& write) {
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> file(std::fopen(path.c_str(), "w"), &std::fclose);
  if (!file) throw std::runtime_error("cannot write " + path);
  write(file.get());
  return path;
}

}  // namespace

TestCertificates make_certificates(const std::string& folder, const std::string& name) {
  const auto ca_key = make_key();
  const auto ca = make_certificate("penstock test authority", ca_key.get(), nullptr, ca_key.get(), 1);
  const auto key = make_key();
  const auto certificate = make_certificate(name, key.get(), ca.get(), ca_key.get(), 2);
  return {write_file(folder + "/ca.pem", [&](std::FILE* file) { PEM_write_X509(file, ca.get()); }),
          write_file(folder + "/server.pem", [&](std::FILE* file) { PEM_write_X509(file, certificate.get()); }),
          write_file(folder + "/server.key", [&](std::FILE* file) {
            PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace penstock::client
