#pragma once

// Fixture of typed tests that run on every device.

#include "devices.hpp"

namespace ntk::testing {

template <class Real>
class EveryDevice : public ::testing::Test {
protected:
    /// Calls f with a backend of every device.
    template <class F>
    void on_devices(const F& f) {
        for (const auto& id : device_ids()) {
            SCOPED_TRACE(id);
            f(make_backend<Real>(id, 2));
        }
    }
};

}  // namespace ntk::testing
