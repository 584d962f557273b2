// libtorch's own engine for processes that work together, c10d, behind a few functions of C: a store where the
// processes of a group meet, and exchanges of tensors between them on CPUs.

#include "c10d.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

// The wheels of libtorch hold no headers of gloo. In c10d's header, gloo's objects stand behind pointers only,
// so that these declarations are enough; the build script puts empty files in the place of the headers.
namespace gloo {
struct Context {
    void setTimeout(std::chrono::milliseconds timeout);
};
namespace rendezvous {
struct Store {
    virtual ~Store() = default;
    virtual void set(const std::string& key, const std::vector<char>& value) = 0;
    virtual std::vector<char> get(const std::string& key) = 0;
    virtual void wait(const std::vector<std::string>& keys) = 0;
    virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
}
namespace transport {
struct Device;
struct UnboundBuffer {};
}
}

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using std::chrono::milliseconds;

extern "C" {

struct fitch_group {
    c10::intrusive_ptr<c10d::Backend> backend;
};

// The store in a file, which does not exist before.
char* fitch_store_in_file(const char* path, int size, fitch_store** store) {
    return guarded([&] { *store = new fitch_store{c10::make_intrusive<c10d::FileStore>(path, size)}; });
}

// The store behind an address. Given a listening socket, this process serves it, and owns the socket.
char* fitch_store_at(const char* host, uint16_t port, int listener, int size, int64_t timeout, fitch_store** store) {
    return guarded([&] {
        c10d::TCPStoreOptions options;
        options.port = port;
        options.isServer = listener >= 0;
        if (options.isServer) options.masterListenFd = listener;
        options.numWorkers = size;
        // The server would wait for the others before they can be told what is wrong.
        options.waitWorkers = false;
        options.timeout = milliseconds(timeout);
        *store = new fitch_store{c10::make_intrusive<c10d::TCPStore>(host, options)};
    });
}

// The part of the store whose keys have a prefix. It takes the place of the whole one.
char* fitch_store_below(fitch_store* store, const char* prefix) {
    return guarded([&] { store->store = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store); });
}

// Adds to a number, which begins at 0, and gives the sum.
char* fitch_store_add(fitch_store* store, const char* key, int64_t value, int64_t* sum) {
    return guarded([&] { *sum = store->store->add(key, value); });
}

char* fitch_store_has(fitch_store* store, const char* key, bool* has) {
    return guarded([&] { *has = store->store->check({key}); });
}

void fitch_store_free(fitch_store* store) { delete store; }

// Connects all processes of a group with each other, from an address or an interface of this machine.
char* fitch_group_of_cpus(
    fitch_store* store, int rank, int size, const char* address, const char* interface, int64_t timeout,
    fitch_group** group) {
    return guarded([&] {
        using c10d::ProcessGroupGloo;
        auto options = ProcessGroupGloo::Options::create(milliseconds(timeout));
        options->threads = 1;
        options->devices.push_back(
            interface ? ProcessGroupGloo::createDeviceForInterface(interface)
                      : ProcessGroupGloo::createDeviceForHostname(address));
        *group = new fitch_group{c10::make_intrusive<ProcessGroupGloo>(store->store, rank, size, options)};
    });
}

// Fills `all` [size, n] with the `mine` [n] of every other process, in the order of their ranks.
char* fitch_group_gather(fitch_group* group, at::Tensor* mine, at::Tensor* all) {
    return guarded([&] {
        // From each to each, which copies nothing; gloo's own gathering copies all values twice.
        const int rank = group->backend->getRank(), size = group->backend->getSize();
        std::vector<at::Tensor> rows = all->unbind();
        std::vector<c10::intrusive_ptr<c10d::Work>> works;
        for (int step = 1; step < size; ++step) {
            const int source = (rank + step) % size, target = (rank + size - step) % size;
            std::vector<at::Tensor> received{rows[source]}, sent{*mine};
            works.push_back(group->backend->recv(received, source, 0));
            works.push_back(group->backend->send(sent, target, 0));
        }
        for (const auto& work : works) work->wait();
    });
}

// Gives every process what `values` is at one of them.
char* fitch_group_broadcast(fitch_group* group, at::Tensor* values, int from) {
    return guarded([&] {
        // One to one as well: c10d keeps a record of its collective operations that threads with groups of their
        // own cannot share.
        const int rank = group->backend->getRank(), size = group->backend->getSize();
        std::vector<at::Tensor> tensors{*values};
        std::vector<c10::intrusive_ptr<c10d::Work>> works;
        if (rank != from) works.push_back(group->backend->recv(tensors, from, 0));
        for (int other = 0; rank == from && other < size; ++other) {
            if (other != from) works.push_back(group->backend->send(tensors, other, 0));
        }
        for (const auto& work : works) work->wait();
    });
}

void fitch_group_free(fitch_group* group) { delete group; }
}
