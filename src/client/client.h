#pragma once

/// The client library of penstock, whole. Where to start: Connection::open() in connection.h.
/// docs/clients.md says which thread may do what, and what an acknowledged row is.
#include "client/connection.h"  // SQL, schemaless insert, prepared statements
#include "client/consumer.h"    // subscriptions
#include "client/dsn.h"         // how to connect
#include "client/errors.h"      // what is thrown
#include "client/rows.h"        // results
#include "client/statement.h"   // prepared statements
#include "client/value.h"       // single values
#include "wire/block.h"         // results by column
#include "wire/schemaless.h"    // LineProtocol
