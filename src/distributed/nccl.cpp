// Exchanges of tensors between CUDA devices, by c10d over NCCL: what c10d.cpp offers for CPUs. This is a library
// of its own, opened when it is needed, so that the program itself needs no library of CUDA's.

#include "c10d.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

using c10d::ProcessGroupNCCL;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// The time between two looks at the exchanges that are under way.
constexpr milliseconds PAUSE{50};

// c10d has a watchdog of its own, which waits for minutes after a fault, writes its state to the disk and ends the
// process. With this it starts none. What the variable is named after, a `wait` that blocks, is never called.
c10::intrusive_ptr<ProcessGroupNCCL> without_watchdog(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, milliseconds timeout) {
    setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 1);
    auto options = ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    return c10::make_intrusive<ProcessGroupNCCL>(store, rank, size, options);
}

}

// Exchanges only join the queue of the device, and the host goes on. It would wait for ever for a process that has
// ended, wherever it reads a value. So a thread watches the exchanges: if one fails or takes too long, it aborts
// all, the queue goes on with values that mean nothing, and `check` says so to whoever has read one.
struct fitch_nccl_group {
    fitch_nccl_group(
        const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, int device, milliseconds timeout)
        : backend(without_watchdog(store, rank, size, timeout)),
          device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)),
          timeout(timeout) {
        try {
            // Otherwise they would connect at the first exchange.
            backend->eagerConnectSingleDevice(this->device);
        } catch (...) {
            free(guarded([&] { backend->abort(); }));
            throw;
        }
        watcher = std::thread([this] { watch(); });
    }

    ~fitch_nccl_group() {
        {
            std::lock_guard<std::mutex> lock(mutex);
            is_ending = true;
        }
        wake.notify_all();
        watcher.join();
        if (!failure.empty()) return;
        free(guarded([&] {
            look();
            // Others may still need what this process has sent; but not for an exchange that will never end.
            if (pending.empty()) {
                backend->shutdown();
            } else {
                backend->abort();
            }
        }));
    }

    template <typename Begin>
    void exchange(Begin begin) {
        check();
        auto work = begin();
        work->synchronize();
        std::lock_guard<std::mutex> lock(mutex);
        if (pending.empty()) last_progress = steady_clock::now();
        // A copy does not keep the tensors.
        pending.emplace_back(static_cast<const ProcessGroupNCCL::WorkNCCL&>(*work));
    }

    void check() {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure.empty()) throw std::runtime_error(failure);
    }

    c10::intrusive_ptr<ProcessGroupNCCL> backend;

private:
    void watch() {
        c10::cuda::CUDAGuard guard(device);
        std::unique_lock<std::mutex> lock(mutex);
        while (!is_ending) {
            wake.wait_for(lock, PAUSE);
            char* message = guarded([&] { look(); });
            if (!message) continue;
            failure = message;
            free(message);
            lock.unlock();
            free(guarded([&] { backend->abort(); }));
            return;
        }
    }

    // They end in the order in which they began.
    void look() {
        while (!pending.empty() && pending.front().isCompleted()) {
            if (auto fault = pending.front().exception()) std::rethrow_exception(fault);
            pending.pop_front();
            last_progress = steady_clock::now();
        }
        if (!pending.empty() && steady_clock::now() - last_progress > timeout) {
            throw std::runtime_error("an exchange timed out");
        }
    }

    const c10::Device device;
    const milliseconds timeout;
    std::thread watcher;
    std::condition_variable wake;
    // Guards what follows.
    std::mutex mutex;
    std::deque<ProcessGroupNCCL::WorkNCCL> pending;
    steady_clock::time_point last_progress;
    std::string failure;
    bool is_ending = false;
};

extern "C" {

// Connects all processes of a group with each other, each of which has a CUDA device of its own.
char* fitch_nccl_join(
    fitch_store* store, int rank, int size, int device, int64_t timeout, fitch_nccl_group** group) {
    return guarded([&] {
        *group = new fitch_nccl_group(store->store, rank, size, device, milliseconds(timeout));
    });
}

char* fitch_nccl_gather(fitch_nccl_group* group, at::Tensor* mine, at::Tensor* all) {
    return guarded([&] { group->exchange([&] { return group->backend->_allgather_base(*all, *mine); }); });
}

char* fitch_nccl_broadcast(fitch_nccl_group* group, at::Tensor* values, int from) {
    return guarded([&] {
        std::vector<at::Tensor> tensors{*values};
        c10d::BroadcastOptions options;
        options.rootRank = from;
        group->exchange([&] { return group->backend->broadcast(tensors, options); });
    });
}

// Fails if an exchange has failed: values that came after it mean nothing.
char* fitch_nccl_check(fitch_nccl_group* group) {
    return guarded([&] { group->check(); });
}

void fitch_nccl_free(fitch_nccl_group* group) { delete group; }
}
