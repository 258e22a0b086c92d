#pragma once

// The ranks of this program. Plain ntkcuda has one; main() of ntkcuda-mpi says before any command which those are, and who does what they
// share.

#include "host/rank_numbers.hpp"

#include <ntkcuda/device.hpp>
#include <ntkcuda/ranks.hpp>

namespace ntk::cli {

class Distribution;

/// The ranks that work together here and now; one, inside Alone.
[[nodiscard]] Ranks& ranks();
/// Who does what the ranks share (distribution.hpp); null where there is one rank.
[[nodiscard]] Distribution* distribution();
/// To be called before any command; `all` stays where it is until the program ends.
void distribute(Distribution& all);

/// How many ranks there are beside this one that have no share in what it does (Alone).
[[nodiscard]] int idle_ranks();
/// How many ranks are on this machine.
[[nodiscard]] int local_ranks();
/// "auto" and "cuda" name the GPU of this rank, one for each as long as there are enough; other devices, and the only rank's, are as given.
[[nodiscard]] std::string own_device(const std::string& device);
/// How many ranks of this machine are on the device that this one has.
[[nodiscard]] int ranks_on_device(const DeviceInfo& device);

/// While it lives this process is the only one, as in the plain program.
class Alone {
public:
    Alone();
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

private:
    Distribution* all_;
    int idle_;
};

/// What no ranks share: the root does it alone.
template <class Work>
void on_root(const Work& work) {
    if (!ranks().root()) return;
    const Alone alone;
    work();
}

}  // namespace ntk::cli
