#include "units.hpp"

#include <fmt/format.h>

#include <cmath>

namespace ntk::cli {

std::string readable_bytes(double bytes) {
    const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 6; ++unit) bytes /= 1024;
    return unit == 0 ? fmt::format("{:.0f} bytes", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string readable_time(double seconds) {
    if (seconds < 100) return fmt::format("{:.0f} s", std::ceil(seconds));
    if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
    return seconds < 48 * 3600 ? fmt::format("{:.1f} h", seconds / 3600) : fmt::format("{:.1f} days", seconds / 86400);
}

std::string readable_rate(double per_second) {
    if (per_second < 0.1) return readable_time(1 / per_second) + " each";
    if (per_second < 1) return fmt::format("{:.1f} s each", 1 / per_second);
    return fmt::format("{:.{}f}/s", per_second, per_second < 100 ? 1 : 0);
}

}  // namespace ntk::cli
