#pragma once

#include <openssl/ssl.h>

#include <string>

#include "client/dsn.h"

namespace penstock::client::detail {

/// Gives `tls` the authorities, the client certificate and its key that the options name (the system's authorities when
/// they name none). Throws ConnectionError(Errc::config) that names the file and what is wrong with it: missing,
/// unreadable, no PEM, a key that is another certificate's or protected by a password.
void load_tls_files(SSL_CTX* tls, const Options& options, const std::string& endpoint);

}  // namespace penstock::client::detail
