#pragma once

#include <gtest/gtest.h>

#include <string>

#include "client/errors.h"

namespace penstock::client {

/// Class and text of what a call throws ("TmqError …"); "nothing" when it returns.
template <class Call>
std::string thrown(Call&& call) {
  try {
    call();
    return "nothing";
  } catch (const InterfaceError& error) {
    return std::string("InterfaceError ") + error.what();
  } catch (const ConnectionError& error) {
    return std::string("ConnectionError ") + error.what();
  } catch (const SchemalessError& error) {
    return std::string("SchemalessError ") + error.what();
  } catch (const StatementError& error) {
    return std::string("StatementError ") + error.what();
  } catch (const TmqError& error) {
    return std::string("TmqError ") + error.what();
  } catch (const Error& error) {
    return std::string("Error ") + error.what();
  }
}

}  // namespace penstock::client

#define EXPECT_HAS(text, part) \
  EXPECT_NE(std::string(text).find(part), std::string::npos) << "'" << part << "' is not in: " << (text)
