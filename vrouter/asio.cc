// Boost.Asio's own implementation, compiled in this file alone.
// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/impl/src.hpp>
