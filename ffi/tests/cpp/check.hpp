// What the C++ test programs share.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "opendb.hpp"

#define CHECK(...) \
    do { \
        if (!(__VA_ARGS__)) { \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            std::exit(1); \
        } \
    } while (0)

// The call throws an Error of this kind.
template <typename Work>
inline bool throws(opendb::ErrorKind kind, Work work) {
    try {
        work();
    } catch (const opendb::Error &error) {
        return error.kind() == kind && error.what()[0] != '\0';
    }
    return false;
}

#endif
