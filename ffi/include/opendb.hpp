/*
 * OpenDB for C++17: the C interface (opendb.h) with destructors, values and exceptions, and nothing else.
 *
 * Every type owns its handle and can be moved, not copied. What goes in is a std::string_view, which may hold any byte;
 * what comes out is a std::string, or a Bytes or Pinned where no copy is wanted. An absent value is an empty optional.
 * A failed call throws opendb::Error. Destructors free without a word: close() and commit() are the calls that report.
 *
 * Threads and lifetimes are those of opendb.h: what is const here, and close(), may be called by many threads at once.
 * After close() every call on the database and on what was made from it throws an Error of kind Closed; closing again
 * does nothing. A moved-from object, or a batch or transaction that is over, may be destroyed or assigned to; any other
 * call on it throws an Error of kind InvalidArgument.
 */
#ifndef OPENDB_HPP
#define OPENDB_HPP

#if __cplusplus < 201703L
#error "opendb.hpp needs C++17: compile with -std=c++17 or a later standard, or use opendb.h"
#else

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "opendb.h"

namespace opendb {

/** The category of an Error: the numbers of opendb_status. */
enum class ErrorKind : opendb_status {
    Storage = OPENDB_ERROR_STORAGE,
    Cache = OPENDB_ERROR_CACHE,
    Transaction = OPENDB_ERROR_TRANSACTION,
    Corruption = OPENDB_ERROR_CORRUPTION,
    InvalidArgument = OPENDB_ERROR_INVALID_ARGUMENT,
    KeyspaceNotFound = OPENDB_ERROR_KEYSPACE_NOT_FOUND,
    Locked = OPENDB_ERROR_LOCKED,
    Closed = OPENDB_ERROR_CLOSED,
    ReadOnly = OPENDB_ERROR_READ_ONLY,
    NoSpace = OPENDB_ERROR_NO_SPACE,
    Io = OPENDB_ERROR_IO,
    Poisoned = OPENDB_ERROR_POISONED,
    Unsupported = OPENDB_ERROR_UNSUPPORTED,
    Forked = OPENDB_ERROR_FORKED,
    Internal = OPENDB_ERROR_INTERNAL,
};

/** Why a call failed. what() says what was being done, to what, and what to do about it. */
class Error : public std::runtime_error {
public:
    Error(ErrorKind kind, bool retryable, const std::string &message)
        : std::runtime_error(message), kind_(kind), retryable_(retryable) {}

    ErrorKind kind() const noexcept { return kind_; }

    /** The name of the kind in capitals, such as INVALID_ARGUMENT. */
    const char *name() const noexcept { return opendb_status_name(static_cast<opendb_status>(kind_)); }

    /** Whether the same work, done again from its beginning, may succeed without anybody's help. */
    bool retryable() const noexcept { return retryable_; }

private:
    ErrorKind kind_;
    bool retryable_;
};

/** What a commit waits for before it returns. */
enum class Durability : opendb_durability {
    Buffered = OPENDB_DURABILITY_BUFFERED,
    Sync = OPENDB_DURABILITY_SYNC,
};

/** How the log is appended to. */
enum class AppendMode : opendb_append_mode {
    Auto = OPENDB_APPEND_MODE_AUTO,
    Mapped = OPENDB_APPEND_MODE_MAPPED,
    Write = OPENDB_APPEND_MODE_WRITE,
};

/** How the values of a keyspace are stored. */
enum class Compression : opendb_compression {
    None = OPENDB_COMPRESSION_NONE,
    Lz4 = OPENDB_COMPRESSION_LZ4,
};

namespace detail {

/** The place for an error of one call; throws what was left there. */
class ErrorPlace {
public:
    ErrorPlace() = default;

    /** For a call on a handle. What is refused because the database was closed is of kind Closed. */
    template <typename Type>
    explicit ErrorPlace(const Type *handle) noexcept {
        if constexpr (std::is_same_v<Type, opendb_database>) {
            database_ = handle;
        }
    }

    ErrorPlace(const ErrorPlace &) = delete;
    ErrorPlace &operator=(const ErrorPlace &) = delete;
    ~ErrorPlace() { opendb_error_free(error_); }

    operator opendb_error **() noexcept { return &error_; }

    /** True for OPENDB_OK, false for OPENDB_NOT_FOUND, otherwise throws. */
    bool found(opendb_status status) const {
        if (status == OPENDB_ERROR_INVALID_ARGUMENT && database_ != nullptr && opendb_path(database_) == nullptr) {
            throw Error(ErrorKind::Closed, false, "the database handle is closed: open the database again");
        }
        if (status > OPENDB_OK) {
            throw Error(static_cast<ErrorKind>(status), opendb_error_retryable(error_), opendb_error_message(error_));
        }
        return status == OPENDB_OK;
    }

private:
    opendb_error *error_ = nullptr;
    const opendb_database *database_ = nullptr;
};

template <auto Free>
struct Deleter {
    template <typename Type>
    void operator()(Type *handle) const noexcept {
        Free(handle);
    }
};

inline void close(opendb_database *database) noexcept { opendb_close(database, nullptr); }

template <typename Type, auto Free>
using Handle = std::unique_ptr<Type, Deleter<Free>>;

inline std::string_view text(opendb_view view) noexcept {
    return {reinterpret_cast<const char *>(view.data), view.length};
}

/** Keys for C, which live as long as those of the caller. */
template <typename Keys>
std::vector<opendb_view> views(const Keys &keys) {
    std::vector<opendb_view> list;
    for (const auto &each : keys) {
        std::string_view key(each);
        list.push_back({reinterpret_cast<const std::uint8_t *>(key.data()), key.size()});
    }
    return list;
}

/** A name or path for C. One with a zero byte inside would be cut short there and name something else. */
inline std::string name(std::string_view name, const char *what = "the name of the keyspace") {
    if (name.find('\0') != std::string_view::npos) {
        throw Error(ErrorKind::InvalidArgument, false, std::string(what) + " has a zero byte inside: choose another");
    }
    return std::string(name);
}

inline std::vector<std::string> strings(opendb_names *list) {
    Handle<opendb_names, opendb_names_free> names(list);
    std::vector<std::string> out;
    for (std::size_t at = 0; at < opendb_names_length(list); ++at) {
        out.emplace_back(opendb_names_at(list, at));
    }
    return out;
}

} // namespace detail

/** A value in memory of its own, as OpenDB allocated it. */
class Bytes {
public:
    explicit Bytes(opendb_bytes bytes) noexcept : bytes_(bytes) {}
    Bytes(Bytes &&other) noexcept : bytes_(std::exchange(other.bytes_, opendb_bytes{nullptr, 0})) {}
    Bytes &operator=(Bytes &&other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Bytes() { opendb_bytes_free(&bytes_); }

    const std::uint8_t *data() const noexcept { return bytes_.data; }
    std::size_t size() const noexcept { return bytes_.length; }
    bool empty() const noexcept { return bytes_.length == 0; }
    std::string_view view() const noexcept { return detail::text({bytes_.data, bytes_.length}); }
    operator std::string_view() const noexcept { return view(); }
    std::string string() const { return std::string(view()); }

private:
    opendb_bytes bytes_;
};

/** A value that is read where it lies, also after the database is closed. */
class Pinned {
public:
    Pinned(opendb_pinned *pinned, opendb_view view) noexcept : pinned_(pinned), view_(view) {}

    const std::uint8_t *data() const noexcept { return view_.data; }
    std::size_t size() const noexcept { return view_.length; }
    bool empty() const noexcept { return view_.length == 0; }
    std::string_view view() const noexcept { return detail::text(view_); }
    operator std::string_view() const noexcept { return view(); }
    std::string string() const { return std::string(view()); }

private:
    detail::Handle<opendb_pinned, opendb_pinned_free> pinned_;
    opendb_view view_;
};

/** The values of many keys, read where they lie, in the order of the keys; also after the database is closed. */
class Values {
public:
    explicit Values(opendb_values *handle) noexcept : handle_(handle) {}

    std::size_t size() const noexcept { return opendb_values_length(handle_.get()); }
    bool empty() const noexcept { return size() == 0; }

    /** The value of the key at this place, or nothing where the key was not there. The view lives as long as this object. */
    std::optional<std::string_view> operator[](std::size_t index) const {
        detail::ErrorPlace error;
        opendb_view view;
        bool found = error.found(opendb_values_at(handle_.get(), index, &view, error));
        return found ? std::optional<std::string_view>(detail::text(view)) : std::nullopt;
    }

private:
    detail::Handle<opendb_values, opendb_values_free> handle_;
};

/** A value that is read piece by piece, also after the database is closed. */
class ValueReader {
public:
    explicit ValueReader(opendb_value_reader *handle) noexcept : handle_(handle) {}

    /** Length of the value in bytes. */
    std::uint64_t length() const noexcept { return opendb_value_reader_length(handle_.get()); }

    /** The next bytes, as many as there is room for or are left; 0 at the end. */
    std::size_t read(void *buffer, std::size_t length) {
        detail::ErrorPlace error;
        std::uint64_t count;
        error.found(opendb_value_reader_read(handle_.get(), buffer, length, &count, error));
        return static_cast<std::size_t>(count);
    }

    /** The next bytes, at most so many; none at the end. */
    std::string read(std::size_t length) {
        std::string piece(length, '\0');
        piece.resize(read(piece.data(), length));
        return piece;
    }

    /** Goes to a place of the value, counted from its beginning. */
    void seek(std::uint64_t position) {
        detail::ErrorPlace error;
        error.found(opendb_value_reader_seek(handle_.get(), position, error));
    }

private:
    detail::Handle<opendb_value_reader, opendb_value_reader_free> handle_;
};

/** A value that is written piece by piece; it is given up when it is destroyed without being finished. */
class ValueWriter {
public:
    explicit ValueWriter(opendb_value_writer *handle) noexcept : handle_(handle) {}

    /** Writes the next piece: all of it or, where it throws, nothing. */
    void write(std::string_view piece) {
        detail::ErrorPlace error;
        error.found(opendb_value_writer_write(handle_.get(), piece.data(), piece.size(), error));
    }

    /** Stores the value under its key or, where it throws, does not. The writer is over in every case. */
    void finish() {
        detail::ErrorPlace error;
        error.found(opendb_value_writer_finish(handle_.get(), error));
    }

    void finish_with(Durability durability) {
        detail::ErrorPlace error;
        auto wait = static_cast<opendb_durability>(durability);
        error.found(opendb_value_writer_finish_with(handle_.get(), wait, error));
    }

private:
    detail::Handle<opendb_value_writer, opendb_value_writer_free> handle_;
};

/** How a database is opened: Options().create(false).cache_bytes(0). */
class Options {
public:
    Options() : handle_(opendb_options_new()) {}

    Options &create(bool create) { return set(opendb_options_set_create, create); }
    Options &durability(Durability durability) {
        return set(opendb_options_set_durability, static_cast<opendb_durability>(durability));
    }
    Options &append_mode(AppendMode mode) {
        return set(opendb_options_set_append_mode, static_cast<opendb_append_mode>(mode));
    }
    Options &mapped_reads(bool mapped_reads) { return set(opendb_options_set_mapped_reads, mapped_reads); }
    Options &cache_bytes(std::uint64_t bytes) { return set(opendb_options_set_cache_bytes, bytes); }
    Options &segment_bytes(std::uint64_t bytes) { return set(opendb_options_set_segment_bytes, bytes); }
    Options &read_damaged(bool read_damaged) { return set(opendb_options_set_read_damaged, read_damaged); }
    Options &read_only(bool read_only) { return set(opendb_options_set_read_only, read_only); }
    /** None that is negative. */
    Options &lock_timeout(std::chrono::milliseconds timeout) {
        return set(opendb_options_set_lock_timeout, static_cast<std::uint64_t>(std::max<std::int64_t>(timeout.count(), 0)));
    }

    const opendb_options *handle() const noexcept { return handle_.get(); }

private:
    template <typename Setter, typename Value>
    Options &set(Setter setter, Value value) {
        detail::ErrorPlace error;
        error.found(setter(handle_.get(), value, error));
        return *this;
    }

    detail::Handle<opendb_options, opendb_options_free> handle_;
};

/** Which entries a scan returns and in which order: Scan::prefix("user:").reverse().limit(10). */
class Scan {
public:
    static Scan all() { return Scan(); }
    static Scan prefix(std::string_view prefix) {
        Scan scan;
        scan.prefix_ = std::string(prefix);
        return scan;
    }

    /** Only this key and those after it in byte order. */
    Scan &from(std::string_view key) { return from_ = std::string(key), *this; }
    /** Only keys before this one in byte order. */
    Scan &until(std::string_view key) { return until_ = std::string(key), *this; }
    /** Only keys after this one in the direction of the scan. */
    Scan &start_after(std::string_view key) { return start_after_ = std::string(key), *this; }
    Scan &limit(std::uint64_t entries) { return limit_ = entries, *this; }
    Scan &reverse() { return flags_ |= OPENDB_SCAN_REVERSE, *this; }
    /** Values are never read and are empty in every entry. */
    Scan &keys_only() { return flags_ |= OPENDB_SCAN_KEYS_ONLY, *this; }

    /** What C takes. It leads to the strings in this scan and lives no longer. */
    opendb_scan raw() const noexcept {
        opendb_scan scan = OPENDB_SCAN_INIT;
        set(prefix_, scan.prefix, scan.prefix_length);
        set(from_, scan.from, scan.from_length);
        set(until_, scan.until, scan.until_length);
        set(start_after_, scan.start_after, scan.start_after_length);
        scan.limit = limit_;
        scan.flags = flags_;
        return scan;
    }

private:
    static void set(const std::optional<std::string> &bound, const void *&data, std::size_t &length) noexcept {
        if (bound) {
            data = bound->data();
            length = bound->size();
        }
    }

    std::optional<std::string> prefix_, from_, until_, start_after_;
    std::uint64_t limit_ = OPENDB_SCAN_NO_LIMIT;
    std::uint32_t flags_ = 0;
};

/** An entry of a scan. Its views live until the iterator goes on. */
struct Entry {
    std::string_view key;
    std::string_view value;
};

/**
 * Walks over the entries of a scan as they were when it was made:
 * `for (auto [key, value] : database.scan_prefix("user:"))`.
 */
class Iterator {
public:
    explicit Iterator(opendb_iterator *handle) noexcept : handle_(handle) {}

    /** The next entry; nothing after the last one. */
    std::optional<Entry> next() {
        detail::ErrorPlace error;
        opendb_view key, value;
        if (!error.found(opendb_iterator_next(handle_.get(), &key, &value, error))) {
            return std::nullopt;
        }
        return Entry{detail::text(key), detail::text(value)};
    }

    /** An input iterator, so that a range-for can walk over what is left. */
    class Cursor {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const Entry *;
        using reference = const Entry &;

        Cursor() = default;
        explicit Cursor(Iterator *source) : source_(source) { ++*this; }
        reference operator*() const noexcept { return *entry_; }
        pointer operator->() const noexcept { return &*entry_; }
        Cursor &operator++() {
            entry_ = source_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        /** Equal are only two cursors at the end. */
        friend bool operator==(const Cursor &left, const Cursor &right) noexcept {
            return !left.entry_ && !right.entry_;
        }
        friend bool operator!=(const Cursor &left, const Cursor &right) noexcept { return !(left == right); }

    private:
        Iterator *source_ = nullptr;
        std::optional<Entry> entry_;
    };

    Cursor begin() { return Cursor(this); }
    Cursor end() noexcept { return Cursor(); }

private:
    detail::Handle<opendb_iterator, opendb_iterator_free> handle_;
};

namespace detail {

/** The functions of the C interface for one type of handle, for the calls that several types share. */
template <typename Type>
struct Calls;

template <>
struct Calls<opendb_database> {
    static constexpr auto put = opendb_put;
    static constexpr auto put_with = opendb_put_with;
    static constexpr auto delete_ = opendb_delete;
    static constexpr auto delete_with = opendb_delete_with;
    static constexpr auto compare_and_swap = opendb_compare_and_swap;
    static constexpr auto compare_and_swap_with = opendb_compare_and_swap_with;
    static constexpr auto take = opendb_take;
    static constexpr auto take_with = opendb_take_with;
    static constexpr auto increment = opendb_increment;
    static constexpr auto increment_with = opendb_increment_with;
    static constexpr auto get = opendb_get;
    static constexpr auto get_many = opendb_get_many;
    static constexpr auto get_pinned = opendb_get_pinned;
    static constexpr auto exists = opendb_exists;
    static constexpr auto iter = opendb_iter;
    static constexpr auto scan_prefix = opendb_scan_prefix;
    static constexpr auto len = opendb_len;
    static constexpr auto value_reader = opendb_value_reader_new;
    static constexpr auto value_writer = opendb_value_writer_new;
};

template <>
struct Calls<opendb_keyspace> {
    static constexpr auto put = opendb_keyspace_put;
    static constexpr auto put_with = opendb_keyspace_put_with;
    static constexpr auto delete_ = opendb_keyspace_delete;
    static constexpr auto delete_with = opendb_keyspace_delete_with;
    static constexpr auto compare_and_swap = opendb_keyspace_compare_and_swap;
    static constexpr auto compare_and_swap_with = opendb_keyspace_compare_and_swap_with;
    static constexpr auto take = opendb_keyspace_take;
    static constexpr auto take_with = opendb_keyspace_take_with;
    static constexpr auto increment = opendb_keyspace_increment;
    static constexpr auto increment_with = opendb_keyspace_increment_with;
    static constexpr auto get = opendb_keyspace_get;
    static constexpr auto get_many = opendb_keyspace_get_many;
    static constexpr auto get_pinned = opendb_keyspace_get_pinned;
    static constexpr auto exists = opendb_keyspace_exists;
    static constexpr auto iter = opendb_keyspace_iter;
    static constexpr auto scan_prefix = opendb_keyspace_scan_prefix;
    static constexpr auto len = opendb_keyspace_len;
    static constexpr auto value_reader = opendb_keyspace_value_reader;
    static constexpr auto value_writer = opendb_keyspace_value_writer;
};

template <>
struct Calls<opendb_snapshot> {
    static constexpr auto get = opendb_snapshot_get;
    static constexpr auto get_many = opendb_snapshot_get_many;
    static constexpr auto get_pinned = opendb_snapshot_get_pinned;
    static constexpr auto exists = opendb_snapshot_exists;
    static constexpr auto iter = opendb_snapshot_iter;
    static constexpr auto scan_prefix = opendb_snapshot_scan_prefix;
    static constexpr auto value_reader = opendb_snapshot_value_reader;
};

/** A view for a call that takes NULL for what is not there. */
class MaybeView {
public:
    explicit MaybeView(std::optional<std::string_view> bytes) noexcept {
        if (bytes) {
            view_ = opendb_view{reinterpret_cast<const std::uint8_t *>(bytes->data()), bytes->size()};
        }
    }
    operator const opendb_view *() const noexcept { return view_ ? &*view_ : nullptr; }

private:
    std::optional<opendb_view> view_;
};

/** The calls that read one keyspace. */
template <typename Type, auto Free>
class Reader {
public:
    explicit Reader(Type *handle) noexcept : handle_(handle) {}

    std::optional<std::string> get(std::string_view key) const {
        std::optional<Bytes> value = get_bytes(key);
        return value ? std::optional<std::string>(value->string()) : std::nullopt;
    }

    /** The value as OpenDB allocated it, without another copy. */
    std::optional<Bytes> get_bytes(std::string_view key) const {
        ErrorPlace error(handle());
        opendb_bytes value;
        bool found = error.found(Calls<Type>::get(handle_.get(), key.data(), key.size(), &value, error));
        return found ? std::optional<Bytes>(Bytes(value)) : std::nullopt;
    }

    /** The value where it lies, without any copy. */
    std::optional<Pinned> get_pinned(std::string_view key) const {
        ErrorPlace error(handle());
        opendb_pinned *pinned;
        opendb_view view;
        auto status = Calls<Type>::get_pinned(handle_.get(), key.data(), key.size(), &pinned, &view, error);
        return error.found(status) ? std::optional<Pinned>(Pinned(pinned, view)) : std::nullopt;
    }

    /** The values of many keys, anything that a range-for walks over and that views can be made of, as of one moment. */
    template <typename Keys>
    Values get_many(const Keys &keys) const {
        ErrorPlace error(handle());
        std::vector<opendb_view> list = views(keys);
        opendb_values *values;
        error.found(Calls<Type>::get_many(handle_.get(), list.data(), list.size(), &values, error));
        return Values(values);
    }

    /** The same for keys that are written down: get_many({"a", "b"}). */
    Values get_many(std::initializer_list<std::string_view> keys) const {
        return get_many<std::initializer_list<std::string_view>>(keys);
    }

    /** The value, to be read piece by piece. */
    std::optional<ValueReader> value_reader(std::string_view key) const {
        ErrorPlace error(handle());
        opendb_value_reader *reader;
        bool found = error.found(Calls<Type>::value_reader(handle_.get(), key.data(), key.size(), &reader, error));
        return found ? std::optional<ValueReader>(ValueReader(reader)) : std::nullopt;
    }

    bool exists(std::string_view key) const {
        ErrorPlace error(handle());
        return error.found(Calls<Type>::exists(handle_.get(), key.data(), key.size(), error));
    }

    Iterator iter(const Scan &scan = Scan::all()) const {
        ErrorPlace error(handle());
        opendb_scan raw = scan.raw();
        opendb_iterator *iterator;
        error.found(Calls<Type>::iter(handle_.get(), &raw, &iterator, error));
        return Iterator(iterator);
    }

    Iterator scan_prefix(std::string_view prefix) const {
        ErrorPlace error(handle());
        opendb_iterator *iterator;
        error.found(Calls<Type>::scan_prefix(handle_.get(), prefix.data(), prefix.size(), &iterator, error));
        return Iterator(iterator);
    }

    /** The handle of the C interface, which this object goes on to own. */
    Type *handle() const noexcept { return handle_.get(); }

protected:
    Handle<Type, Free> handle_;
};

/** The calls that read and write one keyspace. */
template <typename Type, auto Free>
class Store : public Reader<Type, Free> {
public:
    using Reader<Type, Free>::Reader;

    void put(std::string_view key, std::string_view value) const {
        ErrorPlace error(this->handle());
        error.found(Calls<Type>::put(this->handle(), key.data(), key.size(), value.data(), value.size(), error));
    }

    void put_with(std::string_view key, std::string_view value, Durability durability) const {
        ErrorPlace error(this->handle());
        auto wait = static_cast<opendb_durability>(durability);
        error.found(
            Calls<Type>::put_with(this->handle(), key.data(), key.size(), value.data(), value.size(), wait, error));
    }

    /** Begins a value of this length, to be written piece by piece and finished. */
    ValueWriter value_writer(std::string_view key, std::uint64_t length) const {
        ErrorPlace error(this->handle());
        opendb_value_writer *writer;
        error.found(Calls<Type>::value_writer(this->handle(), key.data(), key.size(), length, &writer, error));
        return ValueWriter(writer);
    }

    /** Removes a key, which may be absent. */
    void erase(std::string_view key) const {
        ErrorPlace error(this->handle());
        error.found(Calls<Type>::delete_(this->handle(), key.data(), key.size(), error));
    }

    void erase_with(std::string_view key, Durability durability) const {
        ErrorPlace error(this->handle());
        auto wait = static_cast<opendb_durability>(durability);
        error.found(Calls<Type>::delete_with(this->handle(), key.data(), key.size(), wait, error));
    }

    /**
     * Stores a replacement under a key where its value is the expected one, and tells whether it was; nobody else changes
     * the key in between. std::nullopt stands for a key that is not there, on either side.
     */
    bool compare_and_swap(std::string_view key, std::optional<std::string_view> expected,
                          std::optional<std::string_view> replacement) const {
        ErrorPlace error(this->handle());
        MaybeView old(expected), next(replacement);
        return error.found(Calls<Type>::compare_and_swap(this->handle(), key.data(), key.size(), old, next, error));
    }

    bool compare_and_swap_with(std::string_view key, std::optional<std::string_view> expected,
                               std::optional<std::string_view> replacement, Durability durability) const {
        ErrorPlace error(this->handle());
        MaybeView old(expected), next(replacement);
        auto wait = static_cast<opendb_durability>(durability);
        return error.found(
            Calls<Type>::compare_and_swap_with(this->handle(), key.data(), key.size(), old, next, wait, error));
    }

    /** Removes a key and gives the value that it had: of those who take the same key at once one gets it. */
    std::optional<std::string> take(std::string_view key) const {
        ErrorPlace error(this->handle());
        opendb_bytes value;
        return taken(error.found(Calls<Type>::take(this->handle(), key.data(), key.size(), &value, error)), value);
    }

    std::optional<std::string> take_with(std::string_view key, Durability durability) const {
        ErrorPlace error(this->handle());
        auto wait = static_cast<opendb_durability>(durability);
        opendb_bytes value;
        auto status = Calls<Type>::take_with(this->handle(), key.data(), key.size(), wait, &value, error);
        return taken(error.found(status), value);
    }

    /** Adds to the number under a key, 8 bytes, little endian, signed, and gives the sum; 0 where the key is not there. */
    std::int64_t increment(std::string_view key, std::int64_t by = 1) const {
        ErrorPlace error(this->handle());
        std::int64_t sum;
        error.found(Calls<Type>::increment(this->handle(), key.data(), key.size(), by, &sum, error));
        return sum;
    }

    std::int64_t increment_with(std::string_view key, std::int64_t by, Durability durability) const {
        ErrorPlace error(this->handle());
        auto wait = static_cast<opendb_durability>(durability);
        std::int64_t sum;
        error.found(Calls<Type>::increment_with(this->handle(), key.data(), key.size(), by, wait, &sum, error));
        return sum;
    }

    /** How many keys there are. */
    std::uint64_t len() const {
        ErrorPlace error(this->handle());
        std::uint64_t count;
        error.found(Calls<Type>::len(this->handle(), &count, error));
        return count;
    }

private:
    static std::optional<std::string> taken(bool found, opendb_bytes value) {
        return found ? std::optional<std::string>(Bytes(value).string()) : std::nullopt;
    }
};

} // namespace detail

/** A key space of its own within a database. */
class Keyspace : public detail::Store<opendb_keyspace, opendb_keyspace_free> {
public:
    using Store::Store;

    std::string name() const {
        const char *name = opendb_keyspace_name(handle());
        return name ? name : "";
    }

    /** How values are stored that are written from now on. */
    Compression compression() const noexcept {
        return static_cast<Compression>(opendb_keyspace_compression(handle()));
    }
};

/** One keyspace as it was at one moment. */
class Snapshot : public detail::Reader<opendb_snapshot, opendb_snapshot_free> {
public:
    using Reader::Reader;

    /** The same moment, another keyspace. */
    Snapshot keyspace(std::string_view name) const {
        detail::ErrorPlace error;
        opendb_snapshot *snapshot;
        error.found(opendb_snapshot_keyspace(handle(), detail::name(name).c_str(), &snapshot, error));
        return Snapshot(snapshot);
    }
};

/** Writes that wait to be applied as one. */
class Batch {
public:
    explicit Batch(opendb_batch *handle) noexcept : handle_(handle) {}

    void put(std::string_view keyspace, std::string_view key, std::string_view value) {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        error.found(opendb_batch_put(handle_.get(), name.c_str(), key.data(), key.size(), value.data(), value.size(),
                                     error));
    }

    void erase(std::string_view keyspace, std::string_view key) {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        error.found(opendb_batch_delete(handle_.get(), name.c_str(), key.data(), key.size(), error));
    }

    /** How many writes and deletes wait. */
    std::uint64_t len() const {
        detail::ErrorPlace error;
        std::uint64_t count;
        error.found(opendb_batch_len(handle_.get(), &count, error));
        return count;
    }

    /** Applies all of it or, where it throws, nothing. The batch is over in every case. */
    void commit() {
        detail::ErrorPlace error;
        error.found(opendb_batch_commit(handle_.get(), error));
    }

    void commit_with(Durability durability) {
        detail::ErrorPlace error;
        auto wait = static_cast<opendb_durability>(durability);
        error.found(opendb_batch_commit_with(handle_.get(), wait, error));
    }

private:
    detail::Handle<opendb_batch, opendb_batch_free> handle_;
};

/** Reads one snapshot and its own writes; rolls back when it is destroyed without a commit. */
class Transaction {
public:
    explicit Transaction(opendb_transaction *handle) noexcept : handle_(handle) {}

    std::optional<std::string> get(std::string_view keyspace, std::string_view key) const {
        std::optional<Bytes> value = get_bytes(keyspace, key);
        return value ? std::optional<std::string>(value->string()) : std::nullopt;
    }

    std::optional<Bytes> get_bytes(std::string_view keyspace, std::string_view key) const {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        opendb_bytes value;
        auto status = opendb_transaction_get(handle_.get(), name.c_str(), key.data(), key.size(), &value, error);
        return error.found(status) ? std::optional<Bytes>(Bytes(value)) : std::nullopt;
    }

    /** The values of many keys, as get gives each; all of them count as read. */
    template <typename Keys>
    Values get_many(std::string_view keyspace, const Keys &keys) const {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        std::vector<opendb_view> list = detail::views(keys);
        opendb_values *values;
        error.found(opendb_transaction_get_many(handle_.get(), name.c_str(), list.data(), list.size(), &values, error));
        return Values(values);
    }

    Values get_many(std::string_view keyspace, std::initializer_list<std::string_view> keys) const {
        return get_many<std::initializer_list<std::string_view>>(keyspace, keys);
    }

    bool exists(std::string_view keyspace, std::string_view key) const {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        return error.found(opendb_transaction_exists(handle_.get(), name.c_str(), key.data(), key.size(), error));
    }

    void put(std::string_view keyspace, std::string_view key, std::string_view value) {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        error.found(opendb_transaction_put(handle_.get(), name.c_str(), key.data(), key.size(), value.data(),
                                           value.size(), error));
    }

    void erase(std::string_view keyspace, std::string_view key) {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        error.found(opendb_transaction_delete(handle_.get(), name.c_str(), key.data(), key.size(), error));
    }

    Iterator iter(std::string_view keyspace, const Scan &scan = Scan::all()) const {
        detail::ErrorPlace error;
        opendb_scan raw = scan.raw();
        opendb_iterator *iterator;
        error.found(
            opendb_transaction_iter(handle_.get(), detail::name(keyspace).c_str(), &raw, &iterator, error));
        return Iterator(iterator);
    }

    Iterator scan_prefix(std::string_view keyspace, std::string_view prefix) const {
        detail::ErrorPlace error;
        std::string name = detail::name(keyspace);
        opendb_iterator *iterator;
        error.found(opendb_transaction_scan_prefix(handle_.get(), name.c_str(), prefix.data(), prefix.size(),
                                                   &iterator, error));
        return Iterator(iterator);
    }

    /** Applies every write or, where it throws, none. The transaction is over in every case. */
    void commit() {
        detail::ErrorPlace error;
        error.found(opendb_transaction_commit(handle_.get(), error));
    }

    void commit_with(Durability durability) {
        detail::ErrorPlace error;
        auto wait = static_cast<opendb_durability>(durability);
        error.found(opendb_transaction_commit_with(handle_.get(), wait, error));
    }

    /** Applies nothing. The transaction is over in every case. */
    void rollback() {
        detail::ErrorPlace error;
        error.found(opendb_transaction_rollback(handle_.get(), error));
    }

private:
    detail::Handle<opendb_transaction, opendb_transaction_free> handle_;
};

/** Something that is not as it must be, with its place. */
struct Violation {
    /** Serial of the segment; 0 where it is of none. */
    std::uint64_t segment;
    /** Byte offset in that segment; 0 where it is of no place. */
    std::uint64_t offset;
    /** What is wrong. */
    std::string reason;
};

/** What was found when everything was looked at. */
struct Verification {
    /** Segments whose records were all read and checked. */
    std::uint64_t segments;
    /** Records that were read and checked, live or not. */
    std::uint64_t records;
    /** Keys that were found in the index, in the order and in the log. */
    std::uint64_t keys;
    /** Whether counts were compared as well, for which nobody may write meanwhile. */
    bool counts_compared;
    /** Everything that is not as it must be, at most 10,000 of it. Empty where all is well. */
    std::vector<Violation> violations;
};

/** What was brought over from a damaged database. */
struct Salvage {
    /** Keys that are in the new database. */
    std::uint64_t keys;
    /** Keyspaces of the new database, "default" included. */
    std::uint64_t keyspaces;
    /** What could not be read, as text for people. Empty where nothing was lost. */
    std::vector<std::string> lost;
};

namespace detail {

inline Verification verification(opendb_verification *handle) {
    Handle<opendb_verification, opendb_verification_free> owned(handle);
    Verification found{opendb_verification_segments(handle), opendb_verification_records(handle),
                       opendb_verification_keys(handle), opendb_verification_counts_compared(handle), {}};
    for (std::size_t at = 0; at < opendb_verification_violations(handle); ++at) {
        found.violations.push_back({opendb_violation_segment(handle, at), opendb_violation_offset(handle, at),
                                    opendb_violation_reason(handle, at)});
    }
    return found;
}

/** The progress of a compact on its way through C: exceptions are carried past it, never thrown through it. */
template <typename Progress>
struct Reporter {
    Progress &progress;
    std::exception_ptr thrown = nullptr;

    static bool run(std::uint64_t bytes_done, std::uint64_t bytes_total, void *user_data) noexcept {
        auto *self = static_cast<Reporter *>(user_data);
        // It is told again, when there may be an exception already.
        if (self->thrown) {
            return false;
        }
        try {
            if constexpr (std::is_void_v<std::invoke_result_t<Progress &, std::uint64_t, std::uint64_t>>) {
                self->progress(bytes_done, bytes_total);
                return true;
            } else {
                return static_cast<bool>(self->progress(bytes_done, bytes_total));
            }
        } catch (...) {
            self->thrown = std::current_exception();
        }
        return false;
    }
};

/** The work of a transact on its way through C: exceptions are carried past it, never thrown through it. */
template <typename Work>
struct Carrier {
    Work &work;
    std::exception_ptr thrown = nullptr;

    static opendb_status run(opendb_transaction *handle, void *user_data) noexcept {
        auto *self = static_cast<Carrier *>(user_data);
        self->thrown = nullptr;
        // Not ours to free: the transaction is lent, and freeing a lent one does nothing.
        Transaction transaction(handle);
        try {
            self->work(transaction);
            return OPENDB_OK;
        } catch (const Error &error) {
            // A conflict is for opendb_transact to retry; should it give up, its own error says so.
            if (error.kind() == ErrorKind::Transaction) {
                return OPENDB_ERROR_TRANSACTION;
            }
            self->thrown = std::current_exception();
        } catch (...) {
            self->thrown = std::current_exception();
        }
        return OPENDB_NOT_FOUND;
    }
};

} // namespace detail

/** An open database; the key-value calls on it use the keyspace "default". */
class Database : public detail::Store<opendb_database, detail::close> {
public:
    using Store::Store;

    /** Opens the database in a directory, with the default options. */
    static Database open(const std::string &path) { return open(path, nullptr); }
    static Database open(const std::string &path, const Options &options) { return open(path, options.handle()); }

    /**
     * Closes the database and reports how that went. It is closed in every case; closing it again does nothing. The
     * handle stays as it is, so that other threads may be inside calls on it.
     */
    void close() {
        detail::ErrorPlace error;
        opendb_status status = opendb_close(handle(), error);
        // The only argument is the handle, and it is refused once it was closed.
        if (status != OPENDB_ERROR_INVALID_ARGUMENT) {
            error.found(status);
        }
    }

    std::string path() const {
        const char *path = opendb_path(handle());
        return path ? path : "";
    }

    /** Waits until everything written so far is on the device. */
    void flush() const {
        detail::ErrorPlace error(handle());
        error.found(opendb_flush(handle(), error));
    }

    /** Sees to it that everything is seen that was committed before, where this was opened for reading only. */
    void refresh() const {
        detail::ErrorPlace error(handle());
        error.found(opendb_refresh(handle(), error));
    }

    /** The keyspace with this name, which is created if it is missing. */
    Keyspace keyspace(std::string_view name) const {
        detail::ErrorPlace error(handle());
        opendb_keyspace *keyspace;
        error.found(opendb_keyspace_open(handle(), detail::name(name).c_str(), &keyspace, error));
        return Keyspace(keyspace);
    }

    /** The same, and its values are stored so from now on. The setting stays with the keyspace. */
    Keyspace keyspace(std::string_view name, Compression compression) const {
        detail::ErrorPlace error(handle());
        opendb_keyspace *keyspace;
        auto number = static_cast<opendb_compression>(compression);
        error.found(opendb_keyspace_open_with(handle(), detail::name(name).c_str(), number, &keyspace, error));
        return Keyspace(keyspace);
    }

    /** The names of the keyspaces, sorted. */
    std::vector<std::string> keyspaces() const {
        detail::ErrorPlace error(handle());
        opendb_names *names;
        error.found(opendb_keyspaces(handle(), &names, error));
        return detail::strings(names);
    }

    Batch batch() const {
        detail::ErrorPlace error(handle());
        opendb_batch *batch;
        error.found(opendb_batch_new(handle(), &batch, error));
        return Batch(batch);
    }

    Snapshot snapshot() const {
        detail::ErrorPlace error(handle());
        opendb_snapshot *snapshot;
        error.found(opendb_snapshot_new(handle(), &snapshot, error));
        return Snapshot(snapshot);
    }

    Transaction begin_transaction() const {
        detail::ErrorPlace error(handle());
        opendb_transaction *transaction;
        error.found(opendb_transaction_begin(handle(), &transaction, error));
        return Transaction(transaction);
    }

    /**
     * Runs `work(Transaction &)` in a transaction and commits it, again from the beginning after a conflict. Returns
     * what the last run returned. An exception of the work rolls back and comes out here; only an Error of kind
     * Transaction asks for another run. The work must not commit or roll back.
     */
    template <typename Work>
    auto transact(Work &&work) const -> std::invoke_result_t<Work &, Transaction &> {
        return transacted(work, opendb_transact);
    }

    /** The same, with how often the work is run again after a conflict, at most, and a durability for the commit. */
    template <typename Work>
    auto transact_with(std::uint32_t retries, Durability durability, Work &&work) const
        -> std::invoke_result_t<Work &, Transaction &> {
        auto wait = static_cast<opendb_durability>(durability);
        return transacted(work, [=](const opendb_database *database, opendb_work run, void *data, opendb_error **error) {
            return opendb_transact_with(database, retries, wait, run, data, error);
        });
    }

    /** Gives back, at once, the room of everything that was overwritten or deleted. Reads and writes go on meanwhile. */
    opendb_compaction compact() const {
        detail::ErrorPlace error(handle());
        opendb_compaction compaction = OPENDB_COMPACTION_INIT;
        error.found(opendb_compact(handle(), nullptr, nullptr, &compaction, error));
        return compaction;
    }

    /**
     * The same, and tells `progress(bytes_done, bytes_total)` how far it has come, and, unless it was ended early, once more at the end. It ends early
     * when that returns false; an exception of it ends it as well and comes out here. It may read and write, but must not
     * compact, verify, back up or close the database.
     */
    template <typename Progress>
    opendb_compaction compact(Progress &&progress) const {
        detail::ErrorPlace error(handle());
        opendb_compaction compaction = OPENDB_COMPACTION_INIT;
        using Reporter = detail::Reporter<std::remove_reference_t<Progress>>;
        Reporter reporter{progress};
        opendb_status status = opendb_compact(handle(), Reporter::run, &reporter, &compaction, error);
        if (reporter.thrown) {
            std::rethrow_exception(reporter.thrown);
        }
        error.found(status);
        return compaction;
    }

    /** Reads and checks every record, and everything that leads to one. What is wrong is in the result and throws nothing. */
    Verification verify() const {
        detail::ErrorPlace error(handle());
        opendb_verification *verification;
        error.found(opendb_verify(handle(), &verification, error));
        return detail::verification(verification);
    }

    /** Makes a database of its own in a directory that is empty or missing, with everything that was written before. */
    opendb_backup_result backup(const std::string &path) const {
        detail::ErrorPlace error(handle());
        opendb_backup_result result = OPENDB_BACKUP_RESULT_INIT;
        error.found(opendb_backup(handle(), detail::name(path, "the path").c_str(), &result, error));
        return result;
    }

    /** Makes a new database, in a directory that is empty or missing, of everything that can be read of a damaged one. */
    static Salvage salvage(const std::string &damaged, const std::string &into) {
        detail::ErrorPlace error;
        opendb_salvage_result result = OPENDB_SALVAGE_RESULT_INIT;
        opendb_names *lost;
        error.found(opendb_salvage(detail::name(damaged, "the damaged path").c_str(),
                                   detail::name(into, "the new path").c_str(), &result, &lost, error));
        return {result.keys, result.keyspaces, detail::strings(lost)};
    }

    opendb_stats stats() const {
        detail::ErrorPlace error(handle());
        opendb_stats stats = OPENDB_STATS_INIT;
        error.found(opendb_stats_read(handle(), &stats, error));
        return stats;
    }

    /** The places that were found damaged, as text for people. */
    std::vector<std::string> recovery_damage() const {
        detail::ErrorPlace error(handle());
        opendb_names *names;
        error.found(opendb_recovery_damage(handle(), &names, error));
        return detail::strings(names);
    }

private:
    static Database open(const std::string &path, const opendb_options *options) {
        detail::ErrorPlace error;
        opendb_database *database;
        error.found(opendb_open(detail::name(path, "the path").c_str(), options, &database, error));
        return Database(database);
    }

    template <typename Work, typename Call>
    auto transacted(Work &work, Call call) const -> std::invoke_result_t<Work &, Transaction &> {
        using Result = std::invoke_result_t<Work &, Transaction &>;
        if constexpr (std::is_void_v<Result>) {
            run(work, call);
        } else {
            std::optional<Result> result;
            auto keep = [&](Transaction &transaction) { result.emplace(work(transaction)); };
            run(keep, call);
            return std::move(*result);
        }
    }

    template <typename Work, typename Call>
    void run(Work &work, Call call) const {
        detail::ErrorPlace error(handle());
        detail::Carrier<Work> carrier{work};
        opendb_status status = call(handle(), detail::Carrier<Work>::run, &carrier, error);
        if (carrier.thrown) {
            std::rethrow_exception(carrier.thrown);
        }
        error.found(status);
    }
};

} // namespace opendb

#endif // C++17
#endif // OPENDB_HPP
