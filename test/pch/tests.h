// What nearly every test includes, read once for each test program: most of a test's compilation.
// Tests include what they use all the same.  Nothing includes this file, hence no guard: the compiler
// warns of one in a file that it compiles by itself.
// SPDX-License-Identifier: Apache-2.0

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
