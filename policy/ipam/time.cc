// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/time.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace vr::policy::ipam {

std::string time_text(Time time) {
    const auto second = std::chrono::floor<std::chrono::seconds>(time);
    const auto day = std::chrono::floor<std::chrono::days>(second);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(second - day);
    return fmt::format(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} +0000 UTC",
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        clock.hours().count(),
        clock.minutes().count(),
        clock.seconds().count());
}

std::optional<Time> parse_time(std::string_view text) {
    constexpr std::string_view kForm = "0000-00-00 00:00:00";
    std::array<int, 6> numbers{};
    if (text.size() < kForm.size() || !text.ends_with(" +0000 UTC")) {
        return std::nullopt;
    }
    std::size_t from = 0;
    for (int& number : numbers) {
        const std::size_t to = std::min(kForm.find_first_not_of('0', from), kForm.size());
        const auto [stop, error] = std::from_chars(text.data() + from, text.data() + to, number);
        const bool separated = to == kForm.size() || text[to] == kForm[to];
        if (error != std::errc{} || stop != text.data() + to || number < 0 || !separated) {
            return std::nullopt;
        }
        from = to + 1;
    }
    const auto [year, month, day, hour, minute, second] = numbers;
    const std::chrono::year_month_day date{
        std::chrono::year{year},
        std::chrono::month{static_cast<unsigned>(month)},
        std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second};
}

}  // namespace vr::policy::ipam
