// What the two files of C++ have in common. Each function returns a message if it fails, which the caller frees.

#pragma once

#include <cstring>
#include <exception>

#include <torch/csrc/distributed/c10d/Store.hpp>

struct fitch_store {
    c10::intrusive_ptr<c10d::Store> store;
};

namespace {

template <typename Work>
char* guarded(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception& fault) {
        return strdup(fault.what());
    } catch (...) {
        return strdup("an unknown fault");
    }
}

}
