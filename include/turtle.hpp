// turtle.hpp: one bounded FIFO, many engines, for C++17 and later. Header-only, over turtle.h.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
//   turtle::ring_buffer<job> jobs(256);                        // any type, inside one process
//   turtle::shared_ring<tick> ticks("/ticks");                 // plain data, between processes, by name
//   turtle::record_ring lines("/lines", 4096);                 // bytes of varying length
//
//   producer:  if (!jobs.push(job{42})) { /* closed */ }       // waits for room
//              if (!jobs.try_push(job{42})) { /* full … */ }   // never waits
//   consumer:  while (auto next = jobs.pop()) run(*next);      // waits; ends when closed and drained
//              for (auto& next : jobs) run(next);              // the same
//
// Names.     `try_` never waits, the plain word may wait, `_for` and `_until` wait that long at most.
// Units.     Capacity and counts in elements, sizes in bytes, times as std::chrono says.
// Outcomes.  Calls answer bool, optional or a count. Why a call answered "no" is told by its overload with a
//            std::error_code& (an errc), or by its overload with turtle::as_expected where the library has std::expected.
// Errors.    `try_` calls throw nothing of their own; waiting calls throw std::system_error for what is not an everyday
//            outcome (no_handle, interrupted, invalid …), their error_code overloads do not. Constructors throw;
//            create() beside them does not. Exceptions of T's own constructors pass; nothing is pushed then.
//            With -fno-exceptions, what would throw says so on stderr and ends the program.
// Threads.   Any number of threads may use one ring, as far as the strategy allows: on strategy::spsc the first thread
//            to push (to pop) owns that side, see release_thread(). A producer or consumer handle is for one thread at
//            a time. Moving or destroying a ring is for one thread, when nobody else uses it.
// Progress.  As turtle.h says for the strategy; this header adds no waiting and no allocation.
// Elements.  Trivially copyable ones are copied. Others live in the slot: they are constructed there, moved from and
//            destroyed there, and never moved as bytes; what is left inside is destroyed with the ring's last handle.
// Sanitizers. Address, undefined and thread work as they are, without suppressions; docs/cpp.md says what they see.
// Fork.      In a forked child a private ring answers errc::invalid; a shared one goes on working.
#ifndef TURTLE_HPP
#define TURTLE_HPP

#include "turtle.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
#ifndef __cpp_exceptions
#include <cstdio>
#include <cstdlib>
#endif
#if __cplusplus >= 202002L
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif
#ifdef __cpp_lib_expected
#include <expected>
#endif
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

static_assert(sizeof(void*) == 8, "turtle-buffers is for 64-bit machines");

// ThreadSanitizer cannot see into the library; see detail::sight.
#ifdef __SANITIZE_THREAD__
#define TURTLE_SANITIZE_THREAD
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TURTLE_SANITIZE_THREAD
#endif
#endif
#ifdef TURTLE_SANITIZE_THREAD
extern "C" {
void __tsan_acquire(void* at);
void __tsan_release(void* at);
void __tsan_read_range(void* at, long bytes);
void __tsan_write_range(void* at, long bytes);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace turtle {

// ------------------------------------------------------------------------------------------------ outcomes and errors

/// How a call ended. The numbers are those of turtle_status; a newer library may answer others.
enum class errc : int {
    success = TURTLE_OK,
    full = TURTLE_FULL,               ///< the ring held `capacity()` elements at some moment of the call
    empty = TURTLE_EMPTY,             ///< the ring held nothing at some moment of the call
    busy = TURTLE_BUSY,               ///< another call is halfway through the next slot; strategy::turn only
    closed = TURTLE_CLOSED,           ///< closed; for a pop: and everything in it was taken
    timeout = TURTLE_TIMEOUT,         ///< the time is up
    interrupted = TURTLE_INTERRUPTED, ///< interrupt() or a stop token ended the wait
    invalid = TURTLE_ERR_INVALID,
    no_memory = TURTLE_ERR_NOMEM,
    unsupported = TURTLE_ERR_UNSUPPORTED,
    io = TURTLE_ERR_IO,
    corrupt = TURTLE_ERR_CORRUPT,
    no_handle = TURTLE_ERR_NO_HANDLE, ///< every handle that the strategy allows is out
    peer_died = TURTLE_ERR_PEER_DIED,
    poisoned = TURTLE_ERR_POISONED,
    panic = TURTLE_ERR_PANIC, ///< a bug in the library
    mismatch = TURTLE_ERR_MISMATCH,
    not_found = TURTLE_ERR_NOT_FOUND,
    exists = TURTLE_ERR_EXISTS,
};

/// The category of errc, "turtle". Its codes compare equal to the std::errc that means the same, where one does.
// Categories compare by address: one for the whole process, in libraries built with -fvisibility=hidden, too.
[[gnu::visibility("default")]] inline const std::error_category& category() noexcept {
    struct turtle_category final : std::error_category {
        const char* name() const noexcept override { return "turtle"; }
        std::string message(int code) const override { return turtle_status_str(code); }
        std::error_condition default_error_condition(int code) const noexcept override {
            switch (static_cast<errc>(code)) {
            case errc::success: return {};
            case errc::full:
            case errc::empty:
            case errc::busy: return std::errc::resource_unavailable_try_again;
            case errc::timeout: return std::errc::timed_out;
            case errc::interrupted: return std::errc::interrupted;
            case errc::invalid: return std::errc::invalid_argument;
            case errc::no_memory: return std::errc::not_enough_memory;
            case errc::unsupported: return std::errc::not_supported;
            case errc::io: return std::errc::io_error;
            case errc::not_found: return std::errc::no_such_file_or_directory;
            case errc::exists: return std::errc::file_exists;
            default: return {code, *this};
            }
        }
    };
    static const turtle_category instance;
    return instance;
}

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), category()}; }

} // namespace turtle

template <>
struct std::is_error_code_enum<turtle::errc> : std::true_type {};

namespace turtle {

// ------------------------------------------------------------------------------------------------------------ options

/// Which engine runs the ring; README.md has the table of what each promises.
enum class strategy : std::uint32_t {
    any = TURTLE_ANY,             ///< wait_free; attaching: whichever is there
    turn = TURTLE_TURN,           ///< many producers, many consumers
    spsc = TURTLE_SPSC,           ///< one producer, one consumer
    wait_free = TURTLE_WAIT_FREE, ///< many producers, many consumers; nobody waits for a stopped or killed one
};

/// What opening a shared ring may do.
enum class open_mode : std::uint32_t {
    create_or_attach = 0,
    create_new = TURTLE_CREATE | TURTLE_EXCLUSIVE, ///< errc::exists if it is there
    attach = TURTLE_ATTACH,                        ///< errc::not_found if it is not
};

/// How a ring is built or attached.
struct options {
    std::size_t capacity = 0; ///< elements, kept exactly; 0: 1024, or when attaching whatever is there
    turtle::strategy strategy = turtle::strategy::any;
    open_mode mode = open_mode::create_or_attach; ///< shared rings only
    std::uint32_t permissions = 0600;             ///< permission bits of a shared ring that is created
    std::uint32_t max_threads = 0; ///< participants of each side, of strategies that keep records; 0: 64, or as there
    std::uint32_t patience = 0;    ///< attempts before such a strategy's calls ask for help; 0: default, or impatient
};

/// For options::patience: a call that does not succeed at once lets others help.
inline constexpr std::uint32_t impatient = TURTLE_IMPATIENT;

/// Names a producer (a consumer) of a shared ring by a number, any but 0, so that after a crash it learns exactly how
/// many of its pushes (pops) took effect: `turtle::producer out(ring, turtle::session{7})`. For strategies that keep a
/// record of each participant. As long as the handle lives nobody else has the session, in no process; the session
/// keeps its place, one of options::max_threads, until forget_producer() or forget_consumer(). In a forked child the
/// handle is the parent's and answers errc::no_handle.
struct session {
    std::uint64_t id;
};

/// What a participant learns that opens its session again.
struct recovery {
    std::uint64_t done = 0;  ///< elements pushed (popped) under this session so far; 0: the session is new
    std::size_t orphans = 0; ///< elements that the last consumer had taken and perhaps not used; they count in `done`
    bool died = false;       ///< the last one that had the session did not give it back
};

/// Names the elements of a record_ring: `producer<record>`. They are pushed as std::string_view, popped as std::string.
struct record;

/// What a ring is and what has happened to it; see turtle_stats.
using statistics = turtle_stats;

#ifdef __cpp_lib_expected
/// Chooses the overloads that answer a std::expected with errc: `ring.pop(turtle::as_expected)`.
struct as_expected_t {
    explicit as_expected_t() = default;
};
inline constexpr as_expected_t as_expected{};
#endif

// ----------------------------------------------------------------------------------------------------------- internals

namespace detail {

template <class T, class Self, class Handle>
class pusher;
template <class T, class Self, class Handle>
class popper;

// One set of names over rings and explicit handles.
inline turtle_status push(turtle_buffer* h, const void* e, std::uint64_t ns) noexcept {
    return ns == 0 ? turtle_try_push(h, e) : turtle_push(h, e, ns);
}
inline turtle_status push(turtle_producer* h, const void* e, std::uint64_t ns) noexcept {
    return ns == 0 ? turtle_producer_try_push(h, e) : turtle_producer_push(h, e, ns);
}
inline turtle_status pop(turtle_buffer* h, void* e, std::uint64_t ns) noexcept {
    return ns == 0 ? turtle_try_pop(h, e) : turtle_pop(h, e, ns);
}
inline turtle_status pop(turtle_consumer* h, void* e, std::uint64_t ns) noexcept {
    return ns == 0 ? turtle_consumer_try_pop(h, e) : turtle_consumer_pop(h, e, ns);
}
inline turtle_status push_n(turtle_buffer* h, const void* e, std::size_t n, std::size_t* done) noexcept {
    return turtle_try_push_n(h, e, n, done);
}
inline turtle_status push_n(turtle_producer* h, const void* e, std::size_t n, std::size_t* done) noexcept {
    return turtle_producer_try_push_n(h, e, n, done);
}
inline turtle_status push_record(turtle_buffer* h, std::string_view r, std::uint64_t ns) noexcept {
    return turtle_push_record(h, r.data(), r.size(), ns);
}
inline turtle_status push_record(turtle_producer* h, std::string_view r, std::uint64_t ns) noexcept {
    return turtle_producer_push_record(h, r.data(), r.size(), ns);
}
inline turtle_status pop_n(turtle_buffer* h, void* e, std::size_t n, std::uint64_t ns, std::size_t* done) noexcept {
    return turtle_pop_n(h, e, n, ns, done);
}
inline turtle_status pop_n(turtle_consumer* h, void* e, std::size_t n, std::uint64_t ns, std::size_t* done) noexcept {
    return turtle_consumer_pop_n(h, e, n, ns, done);
}
inline turtle_status claim(turtle_buffer* h, void** s, std::uint64_t ns) noexcept {
    return turtle_claim_timeout(h, s, ns);
}
inline turtle_status claim(turtle_producer* h, void** s, std::uint64_t ns) noexcept {
    return turtle_producer_claim_timeout(h, s, ns);
}
inline turtle_status commit(turtle_buffer* h, void* s) noexcept { return turtle_commit(h, s); }
inline turtle_status commit(turtle_producer* h, void* s) noexcept { return turtle_producer_commit(h, s); }
inline turtle_status commit(turtle_buffer* h, void* s, std::size_t n) noexcept { return turtle_commit_record(h, s, n); }
inline turtle_status commit(turtle_producer* h, void* s, std::size_t n) noexcept {
    return turtle_producer_commit_record(h, s, n);
}
inline turtle_status abandon(turtle_buffer* h, void* s) noexcept { return turtle_abandon(h, s); }
inline turtle_status abandon(turtle_producer* h, void* s) noexcept { return turtle_producer_abandon(h, s); }
inline turtle_status peek(turtle_buffer* h, const void** s, std::size_t* n, std::uint64_t ns) noexcept {
    return turtle_peek_timeout(h, s, n, ns);
}
inline turtle_status peek(turtle_consumer* h, const void** s, std::size_t* n, std::uint64_t ns) noexcept {
    return turtle_consumer_peek_timeout(h, s, n, ns);
}
inline turtle_status release(turtle_buffer* h, const void* s) noexcept { return turtle_release(h, s); }
inline turtle_status release(turtle_consumer* h, const void* s) noexcept { return turtle_consumer_release(h, s); }

/// What ThreadSanitizer is told about the library's calls; nothing at all in other builds.
///
/// Who takes an element has seen everything that was done before it was given, who is told by a pop that the ring is
/// closed what was done before it was closed, and who finds room what was done before that room was made. A ring is
/// one place for that: an element counts as given by everybody who gave to the same ring before. Rings in shared memory
/// are one place together, for a process may have a ring open twice. What the library does with memory is not looked
/// at; that the call reads or writes the caller's is.
class sight {
public:
    sight() = default;
    explicit sight(const void* place) noexcept : place_(place) {}

#ifdef TURTLE_SANITIZE_THREAD
    template <class F>
    turtle_status push(const void* from, std::size_t bytes, F&& call) const noexcept {
        __tsan_read_range(const_cast<void*>(from), static_cast<long>(bytes));
        gives();
        return finds_room(unseen(call));
    }
    template <class F>
    turtle_status pop(void* into, std::size_t each, const std::size_t& count, F&& call) const noexcept {
        makes_room();
        const turtle_status status = takes(unseen(call));
        if (status == TURTLE_OK) __tsan_write_range(into, static_cast<long>(each * count));
        return status;
    }
    template <class F>
    turtle_status claim(F&& call) const noexcept { return finds_room(unseen(call)); }
    template <class F>
    turtle_status commit(F&& call) const noexcept { return gives(), unseen(call); }
    template <class F>
    turtle_status peek(F&& call) const noexcept { return takes(unseen(call)); }
    template <class F>
    turtle_status release(F&& call) const noexcept { return makes_room(), unseen(call); }
    template <class F>
    turtle_status close(F&& call) const noexcept { return gives(), unseen(call); }
    void closed() const noexcept { static_cast<void>(takes(TURTLE_CLOSED)); }
    /// What is left inside is destroyed by whoever is last: the library sees to the order.
    template <class F>
    static auto unseen(F&& call) noexcept {
        struct ignored {
            ignored() noexcept {
                AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
                AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
            }
            ~ignored() {
                AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
                AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
            }
        } until_the_end;
        return call();
    }

private:
    void* full() const noexcept { return const_cast<void*>(place_); }
    void* empty() const noexcept { return static_cast<char*>(full()) + 8; } // its words of shadow are of 8 bytes
    void gives() const noexcept { __tsan_release(full()); }
    void makes_room() const noexcept { __tsan_release(empty()); }
    turtle_status takes(turtle_status status) const noexcept {
        if (status == TURTLE_OK || status == TURTLE_CLOSED) __tsan_acquire(full());
        return status;
    }
    turtle_status finds_room(turtle_status status) const noexcept {
        if (status == TURTLE_OK) __tsan_acquire(empty()); // a push that is refused is not ordered after close()
        return status;
    }
#else
    template <class F>
    turtle_status push(const void*, std::size_t, F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status pop(void*, std::size_t, const std::size_t&, F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status claim(F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status commit(F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status peek(F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status release(F&& call) const noexcept { return call(); }
    template <class F>
    turtle_status close(F&& call) const noexcept { return call(); }
    void closed() const noexcept {}
    template <class F>
    static auto unseen(F&& call) noexcept { return call(); }
#endif

private:
    // Kept in every build, so that a ring's handles have one layout.
    [[maybe_unused]] const void* place_ = nullptr;
};

struct freer {
    void operator()(turtle_buffer* h) const noexcept {
        sight::unseen([h] { turtle_free(h); });
    }
    void operator()(turtle_producer* h) const noexcept {
        sight::unseen([h] { turtle_producer_free(h); });
    }
    void operator()(turtle_consumer* h) const noexcept {
        sight::unseen([h] { turtle_consumer_free(h); });
    }
};
template <class Handle>
using owned = std::unique_ptr<Handle, freer>;

inline turtle_status orphans(turtle_buffer* h, void* e, std::size_t n, std::size_t* done) noexcept {
    return turtle_take_orphans(h, e, n, done);
}
inline turtle_status orphans(turtle_consumer* h, void* e, std::size_t n, std::size_t* done) noexcept {
    return turtle_consumer_orphans(h, e, n, done);
}
inline turtle_status orphan(turtle_buffer* h, std::string& to, std::size_t* length) noexcept {
    return turtle_take_orphan_record(h, to.data(), to.size(), length);
}
inline turtle_status orphan(turtle_consumer* h, std::string& to, std::size_t* length) noexcept {
    return turtle_consumer_orphan_record(h, to.data(), to.size(), length);
}

/// The one place that throws.
[[noreturn]] inline void fail(turtle_status why, const char* what) {
#ifdef __cpp_exceptions
    throw std::system_error(std::error_code(why, category()), what);
#else
    std::fprintf(stderr, "turtle: %s: %s\n", what, turtle_status_str(why));
    std::abort();
#endif
}
[[noreturn]] inline void fail(turtle_status why) { fail(why, why < 0 ? turtle_last_error() : "a waiting call"); }
/// For waiting calls: done, closed, or an exception.
inline bool done_or_closed(turtle_status why) {
    if (why != TURTLE_OK && why != TURTLE_CLOSED) fail(why);
    return why == TURTLE_OK;
}
inline bool tell(turtle_status why, std::error_code& code) noexcept {
    code.assign(why, category());
    return why == TURTLE_OK;
}

// How long a call may wait. Each runs `attempt(nanoseconds)` once or, where the wait has to be cut, several times.
struct at_once {
    template <class F>
    turtle_status operator()(F&& attempt) const {
        return attempt(std::uint64_t{0});
    }
};
struct for_ever {
    template <class F>
    turtle_status operator()(F&& attempt) const {
        return attempt(TURTLE_FOREVER);
    }
};
struct within {
    std::uint64_t ns;
    template <class Rep, class Period>
    explicit within(std::chrono::duration<Rep, Period> time) : ns(0) {
        // Rounded up, so that a call never gives up early. What does not fit 64 bits is for ever.
        const auto wanted = std::chrono::duration<long double, std::nano>(time).count();
        if (wanted >= 18446744073709551615.0L) {
            ns = TURTLE_FOREVER;
        } else if (wanted > 0) {
            ns = static_cast<std::uint64_t>(wanted);
            if (static_cast<long double>(ns) < wanted) ++ns;
        }
    }
    template <class F>
    turtle_status operator()(F&& attempt) const {
        return attempt(ns);
    }
};
/// One time for several waits.
struct altogether {
    std::uint64_t ns;
    std::chrono::steady_clock::time_point start;
    template <class Rep, class Period>
    explicit altogether(std::chrono::duration<Rep, Period> time)
        : ns(within(time).ns), start(std::chrono::steady_clock::now()) {}
    template <class F>
    turtle_status operator()(F&& attempt) const {
        if (ns == TURTLE_FOREVER || ns == 0) return attempt(ns);
        const std::chrono::nanoseconds since = std::chrono::steady_clock::now() - start;
        const auto spent = static_cast<std::uint64_t>(since.count());
        if (spent < ns) return attempt(ns - spent);
        const turtle_status status = attempt(std::uint64_t{0});
        return status == TURTLE_FULL || status == TURTLE_BUSY ? TURTLE_TIMEOUT : status;
    }
};
template <class Clock, class Duration>
struct until {
    std::chrono::time_point<Clock, Duration> deadline;
    template <class F>
    turtle_status operator()(F&& attempt) const {
        turtle_status status = attempt(within(deadline - Clock::now()).ns);
        // The clock may run slower than the library's, or have been set back.
        for (auto now = Clock::now(); status == TURTLE_TIMEOUT && now < deadline; now = Clock::now())
            status = attempt(within(deadline - now).ns);
        return status;
    }
};
#ifdef __cpp_lib_jthread
struct unless_stopped {
    std::stop_token token;
    std::uint64_t ns = TURTLE_FOREVER;
    template <class F>
    turtle_status operator()(F&& attempt) const {
        // Slices of the time after which a sleeping call looks up anyway: a stop is noticed that soon.
        constexpr std::uint64_t slice = 10'000'000;
        for (std::uint64_t left = ns;;) {
            if (token.stop_requested()) return TURTLE_INTERRUPTED;
            const std::uint64_t part = left < slice ? left : slice;
            const turtle_status status = attempt(part);
            if (status != TURTLE_TIMEOUT || left == part) return status;
            if (left != TURTLE_FOREVER) left -= part;
        }
    }
};
#endif

/// Copied as bytes; anything else is constructed and destroyed in the slot. Compilers disagree about types that cannot
/// be copied at all, such as std::mutex: those are not plain.
template <class T>
inline constexpr bool is_plain = std::is_trivially_copyable_v<T> && std::is_move_constructible_v<T>;

/// Copied as bytes, and yet of no use elsewhere: places in the memory of this process.
template <class T>
inline constexpr bool is_address = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;
template <class Char, class Traits>
inline constexpr bool is_address<std::basic_string_view<Char, Traits>> = true;
#ifdef __cpp_lib_span
template <class U, std::size_t Extent>
inline constexpr bool is_address<std::span<U, Extent>> = true;
#endif

template <class T>
T* object_at(void* at) noexcept {
    return std::launder(static_cast<T*>(at));
}

/// Room for a T that the library writes as bytes.
template <class T>
struct room {
    alignas(T) std::byte bytes[sizeof(T)];
    T& value() noexcept { return *object_at<T>(bytes); }
};

/// Iterators behind which elements lie one after the other, as far as that can be known.
template <class It, class T>
constexpr bool is_contiguous() {
    if constexpr (std::is_same_v<It, T*> || std::is_same_v<It, const T*>) return true;
#ifdef __cpp_lib_ranges
    else if constexpr (std::contiguous_iterator<It>)
        return std::is_same_v<std::iter_value_t<It>, T>;
#endif
    else if constexpr (!std::is_same_v<T, bool>)
        return std::is_same_v<It, typename std::vector<T>::iterator>
            || std::is_same_v<It, typename std::vector<T>::const_iterator>;
    else
        return false;
}

/// Elements that a call for other iterators moves at a time, through the stack.
template <class T>
inline constexpr std::size_t chunk = sizeof(T) < 2048 ? 2048 / sizeof(T) : 1;

/// What goes in, and what comes out.
template <class T>
struct element {
    using in = T;
    using out = T;
    static constexpr bool is_record = false;
    static constexpr bool by_bytes = is_plain<T>; // the library copies it
};
template <>
struct element<record> {
    using in = std::string_view;
    using out = std::string;
    static constexpr bool is_record = true;
    static constexpr bool by_bytes = false;
};

/// All that `handle` has to give, one by one: what cannot be stored is still with the library.
template <class T, class Handle>
std::vector<typename element<T>::out> all_orphans(Handle* handle, std::size_t longest) {
    std::vector<typename element<T>::out> all;
    for (turtle_status status = TURTLE_OK;;) {
        if constexpr (element<T>::is_record) {
            std::string one(longest, '\0');
            std::size_t length = 0;
            all.reserve(all.size() + 1);
            status = orphan(handle, one, &length);
            if (status == TURTLE_OK) one.resize(length), all.push_back(std::move(one));
        } else {
            static_assert(is_plain<T>, "only plain data outlives a process");
            room<T> one;
            std::size_t done = 0;
            all.reserve(all.size() + 1);
            status = orphans(handle, one.bytes, 1, &done);
            if (status == TURTLE_OK) all.push_back(one.value());
        }
        if (status == TURTLE_EMPTY) return all;
        if (status != TURTLE_OK) fail(status);
    }
}

template <class T>
constexpr void check_element() {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T>);
    static_assert(std::is_nothrow_destructible_v<T>, "an element's destructor must not throw");
    static_assert(std::is_move_constructible_v<T>, "an element must be movable to be popped");
    static_assert(sizeof(T) <= 16777216 && alignof(T) <= 4096, "too large for a slot");
}

} // namespace detail

// ----------------------------------------------------------------------------------------------------- zero-copy guards

/// A slot lent to write in: construct or fill, then commit(). Abandoned if it goes without, and leaves no trace then.
///
/// Must not outlive the ring or handle it came from, and is for the thread that claimed. On strategy::spsc one slot is
/// lent at a time, on wait_free one to each thread or handle, and its other pushes and claims answer errc::invalid
/// meanwhile; there a claim keeps no place, and commit() may find the ring full. On strategy::turn pops that get to
/// the slot answer errc::busy.
template <class T, class Handle = turtle_buffer>
class [[nodiscard]] write_claim {
public:
    write_claim(write_claim&& other) noexcept
        : handle_(other.handle_), seen_(other.seen_), slot_(std::exchange(other.slot_, nullptr)),
          alive_(std::exchange(other.alive_, false)), why_(std::exchange(other.why_, errc::invalid)) {}
    // `slot = ring.claim()` would claim the next slot before it gives this one up.
    write_claim& operator=(write_claim&&) = delete;
    ~write_claim() { abandon(); }

    /// Whether there is a slot. If not, why() tells the reason.
    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    /// Why there is no slot, or why the last commit was refused.
    [[nodiscard]] errc why() const noexcept { return why_; }

    /// Constructs the element in the slot, in place of one that is there.
    template <class... Args>
    T& emplace(Args&&... args) {
        destroy();
        T* made = ::new (slot_) T(std::forward<Args>(args)...);
        alive_ = true;
        return *made;
    }
    /// The element: one that was emplaced, or, where T needs no construction, the slot with unspecified contents.
    [[nodiscard]] T* get() const noexcept { return detail::object_at<T>(slot_); }
    [[nodiscard]] T& operator*() const noexcept { return *get(); }
    [[nodiscard]] T* operator->() const noexcept { return get(); }

    /// Publishes the element and gives the slot up. `false` keeps both: closed (or full) by now, see why(), or
    /// errc::invalid where the element was never constructed.
    [[nodiscard]] bool commit() noexcept {
        if (slot_ == nullptr || !alive_) {
            why_ = errc::invalid;
            return false;
        }
        why_ = static_cast<errc>(seen_.commit([&] { return detail::commit(handle_, slot_); }));
        if (why_ != errc::success) return false;
        slot_ = nullptr;
        alive_ = false;
        return true;
    }
    /// Destroys what was constructed and gives the slot back.
    void abandon() noexcept {
        if (slot_ == nullptr) return;
        destroy();
        seen_.release([&] { return detail::abandon(handle_, std::exchange(slot_, nullptr)); });
    }

private:
    template <class, class, class>
    friend class detail::pusher;
    template <class Limit>
    write_claim(Handle* handle, detail::sight seen, Limit&& limit) : handle_(handle), seen_(seen) {
        why_ = static_cast<errc>(limit([&](std::uint64_t ns) {
            return seen_.claim([&] { return detail::claim(handle_, &slot_, ns); });
        }));
        if constexpr (std::is_trivially_default_constructible_v<T> && detail::is_plain<T>) {
            if (slot_ != nullptr) {
                ::new (slot_) T; // begins its life; writes nothing
                alive_ = true;
            }
        }
    }
    void destroy() noexcept {
        if (std::exchange(alive_, false)) get()->~T();
    }

    Handle* handle_;
    detail::sight seen_;
    void* slot_ = nullptr;
    bool alive_ = false;
    errc why_ = errc::success;
};

/// The oldest element, taken and lent to read (and to move from, where T is not trivially copyable). The slot goes back
/// to the producers with release() or with the guard; an element that is not trivially copyable is destroyed then.
///
/// Must not outlive the ring or handle it came from, and is for the thread that peeked. On strategy::spsc one slot is
/// lent at a time, and every other pop and peek answers errc::invalid meanwhile.
template <class T, class Handle = turtle_buffer>
class [[nodiscard]] read_claim {
public:
    using reference = std::conditional_t<detail::is_plain<T>, const T&, T&>;
    using pointer = std::remove_reference_t<reference>*;

    read_claim(read_claim&& other) noexcept
        : handle_(other.handle_), seen_(other.seen_), slot_(std::exchange(other.slot_, nullptr)),
          why_(std::exchange(other.why_, errc::invalid)) {}
    read_claim& operator=(read_claim&&) = delete;
    ~read_claim() { release(); }

    /// Whether there is an element. If not, why() tells the reason.
    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] errc why() const noexcept { return why_; }
    [[nodiscard]] pointer get() const noexcept { return detail::object_at<T>(const_cast<void*>(slot_)); }
    [[nodiscard]] reference operator*() const noexcept { return *get(); }
    [[nodiscard]] pointer operator->() const noexcept { return get(); }

    /// Ends the element and gives the slot back.
    void release() noexcept {
        if (slot_ == nullptr) return;
        if constexpr (!detail::is_plain<T>) get()->~T();
        seen_.release([&] { return detail::release(handle_, std::exchange(slot_, nullptr)); });
    }

private:
    template <class, class, class>
    friend class detail::popper;
    template <class Limit>
    read_claim(Handle* handle, detail::sight seen, Limit&& limit) : handle_(handle), seen_(seen) {
        why_ = static_cast<errc>(limit([&](std::uint64_t ns) {
            return seen_.peek([&] { return detail::peek(handle_, &slot_, nullptr, ns); });
        }));
    }

    Handle* handle_;
    detail::sight seen_;
    const void* slot_ = nullptr;
    errc why_ = errc::success;
};

/// A slot lent to write a record in: size() bytes at data(), of which commit(n) publishes the first n. A contiguous
/// range, so that a std::span can be made of it.
template <class Handle>
class [[nodiscard]] write_claim<record, Handle> {
public:
    write_claim(write_claim&& other) noexcept
        : handle_(other.handle_), seen_(other.seen_), slot_(std::exchange(other.slot_, nullptr)),
          size_(std::exchange(other.size_, 0)), why_(std::exchange(other.why_, errc::invalid)) {}
    write_claim& operator=(write_claim&&) = delete;
    ~write_claim() { abandon(); }

    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] errc why() const noexcept { return why_; }
    [[nodiscard]] char* data() const noexcept { return static_cast<char*>(slot_); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] char* begin() const noexcept { return data(); }
    [[nodiscard]] char* end() const noexcept { return data() + size_; }

    /// Publishes the first `length` bytes and gives the slot up. `false` keeps it: closed (or full) by now, or
    /// errc::invalid for more than size() bytes.
    [[nodiscard]] bool commit(std::size_t length) noexcept {
        why_ = errc::invalid;
        if (slot_ != nullptr)
            why_ = static_cast<errc>(seen_.commit([&] { return detail::commit(handle_, slot_, length); }));
        if (why_ != errc::success) return false;
        slot_ = nullptr;
        size_ = 0;
        return true;
    }
    void abandon() noexcept {
        size_ = 0;
        if (slot_ != nullptr) seen_.release([&] { return detail::abandon(handle_, std::exchange(slot_, nullptr)); });
    }

private:
    template <class, class, class>
    friend class detail::pusher;
    template <class Limit>
    write_claim(Handle* handle, detail::sight seen, Limit&& limit, std::size_t room) : handle_(handle), seen_(seen) {
        why_ = static_cast<errc>(limit([&](std::uint64_t ns) {
            return seen_.claim([&] { return detail::claim(handle_, &slot_, ns); });
        }));
        if (slot_ != nullptr) size_ = room;
    }

    Handle* handle_;
    detail::sight seen_;
    void* slot_ = nullptr;
    std::size_t size_ = 0;
    errc why_ = errc::success;
};

/// The oldest record, taken and lent to read: `*claim` is a std::string_view of the slot.
template <class Handle>
class [[nodiscard]] read_claim<record, Handle> {
public:
    read_claim(read_claim&& other) noexcept
        : handle_(other.handle_), seen_(other.seen_), slot_(std::exchange(other.slot_, nullptr)),
          size_(std::exchange(other.size_, 0)), why_(std::exchange(other.why_, errc::invalid)) {}
    read_claim& operator=(read_claim&&) = delete;
    ~read_claim() { release(); }

    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] errc why() const noexcept { return why_; }
    [[nodiscard]] std::string_view operator*() const noexcept { return {data(), size_}; }
    [[nodiscard]] const char* data() const noexcept { return static_cast<const char*>(slot_); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] const char* begin() const noexcept { return data(); }
    [[nodiscard]] const char* end() const noexcept { return data() + size_; }

    void release() noexcept {
        size_ = 0;
        if (slot_ != nullptr) seen_.release([&] { return detail::release(handle_, std::exchange(slot_, nullptr)); });
    }

private:
    template <class, class, class>
    friend class detail::popper;
    template <class Limit>
    read_claim(Handle* handle, detail::sight seen, Limit&& limit) : handle_(handle), seen_(seen) {
        why_ = static_cast<errc>(limit([&](std::uint64_t ns) {
            return seen_.peek([&] { return detail::peek(handle_, &slot_, &size_, ns); });
        }));
    }

    Handle* handle_;
    detail::sight seen_;
    const void* slot_ = nullptr;
    std::size_t size_ = 0;
    errc why_ = errc::success;
};

// -------------------------------------------------------------------------------------------------------- the two sides

namespace detail {

/// The pushing calls. `Self` has raw(), the C handle, and seen().
template <class T, class Self, class Handle>
class pusher {
    using in = typename element<T>::in;
    template <class U>
    using if_element = std::enable_if_t<std::is_convertible_v<U&&, in>, int>;
    template <class... Args>
    static constexpr bool nothrow =
        std::is_nothrow_constructible_v<in, Args...> && (is_plain<in> || std::is_nothrow_move_constructible_v<in>);

public:
    /// Appends one element, or says at once that it cannot: errc::full, busy, closed, no_handle.
    /// An rvalue that is refused keeps its value. (A closed ring may take it first and move it back: that needs a move
    /// assignment that cannot throw.)
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push(U&& value) noexcept(nothrow<U>) {
        return give(at_once{}, std::forward<U>(value)) == TURTLE_OK;
    }
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push(U&& value, std::error_code& why) noexcept(nothrow<U>) {
        return tell(give(at_once{}, std::forward<U>(value)), why);
    }
    /// Constructs one element at the end. The arguments are used only if there is room, and then also if the ring turns
    /// out to be closed.
    template <class... Args>
    [[nodiscard]] bool try_emplace(Args&&... args) noexcept(nothrow<Args...>) {
        return give(at_once{}, std::forward<Args>(args)...) == TURTLE_OK;
    }
    /// The same, waiting for room as long as that. The time comes first. Why not: see try_push_for, or claim a slot.
    template <class Rep, class Period, class... Args>
    [[nodiscard]] bool try_emplace_for(std::chrono::duration<Rep, Period> time, Args&&... args) noexcept(nothrow<Args...>) {
        return give(within(time), std::forward<Args>(args)...) == TURTLE_OK;
    }
    template <class Clock, class Dur, class... Args>
    [[nodiscard]] bool try_emplace_until(std::chrono::time_point<Clock, Dur> when,
                                         Args&&... args) noexcept(nothrow<Args...>) {
        return give(until<Clock, Dur>{when}, std::forward<Args>(args)...) == TURTLE_OK;
    }

    /// Appends one element, waiting for room. `false`: the ring is closed.
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool push(U&& value) {
        return done_or_closed(give(for_ever{}, std::forward<U>(value)));
    }
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool push(U&& value, std::error_code& why) noexcept(nothrow<U>) {
        return tell(give(for_ever{}, std::forward<U>(value)), why);
    }
    template <class... Args>
    [[nodiscard]] bool emplace(Args&&... args) {
        return done_or_closed(give(for_ever{}, std::forward<Args>(args)...));
    }

    /// Appends one element, waiting for room as long as that. A time of 0 or less is try_push.
    template <class Rep, class Period, class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push_for(U&& value, std::chrono::duration<Rep, Period> time) noexcept(nothrow<U>) {
        return give(within(time), std::forward<U>(value)) == TURTLE_OK;
    }
    template <class Rep, class Period, class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push_for(U&& value, std::chrono::duration<Rep, Period> time,
                                    std::error_code& why) noexcept(nothrow<U>) {
        return tell(give(within(time), std::forward<U>(value)), why);
    }
    template <class Clock, class Dur, class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push_until(U&& value, std::chrono::time_point<Clock, Dur> when) noexcept(nothrow<U>) {
        return give(until<Clock, Dur>{when}, std::forward<U>(value)) == TURTLE_OK;
    }
    template <class Clock, class Dur, class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push_until(U&& value, std::chrono::time_point<Clock, Dur> when,
                                      std::error_code& why) noexcept(nothrow<U>) {
        return tell(give(until<Clock, Dur>{when}, std::forward<U>(value)), why);
    }

    /// Appends as many of the `n` elements from `first` on as there is room for; answers how many. `first` is a forward
    /// iterator; elements that were not appended are as they were. Use std::make_move_iterator to move.
    template <class It>
    [[nodiscard]] std::size_t try_push_bulk(It first, std::size_t n) {
        std::error_code why;
        return try_push_bulk(first, n, why);
    }
    template <class It>
    [[nodiscard]] std::size_t try_push_bulk(It first, std::size_t n, std::error_code& why) {
        std::size_t done = 0;
        tell(give_run(first, n, done), why);
        return done;
    }
    /// Appends all of them, waiting for room; fewer only if the ring is closed.
    template <class It>
    [[nodiscard]] std::size_t push_bulk(It first, std::size_t n) {
        turtle_status status;
        const std::size_t done = give_all(for_ever{}, first, n, status);
        done_or_closed(status);
        return done;
    }
    template <class It>
    [[nodiscard]] std::size_t push_bulk(It first, std::size_t n, std::error_code& why) {
        turtle_status status;
        const std::size_t done = give_all(for_ever{}, first, n, status);
        tell(status, why);
        return done;
    }
    /// Appends as many as there is room for within that time, all waits together.
    template <class It, class Rep, class Period>
    [[nodiscard]] std::size_t try_push_bulk_for(It first, std::size_t n, std::chrono::duration<Rep, Period> time) {
        std::error_code why;
        return try_push_bulk_for(first, n, time, why);
    }
    template <class It, class Rep, class Period>
    [[nodiscard]] std::size_t try_push_bulk_for(It first, std::size_t n, std::chrono::duration<Rep, Period> time,
                                                std::error_code& why) {
        turtle_status status;
        const std::size_t done = give_all(altogether(time), first, n, status);
        tell(status, why);
        return done;
    }
#ifdef __cpp_lib_span
    [[nodiscard]] std::size_t try_push_bulk(std::span<const in> elements) {
        return try_push_bulk(elements.data(), elements.size());
    }
    [[nodiscard]] std::size_t try_push_bulk(std::span<const in> elements, std::error_code& why) {
        return try_push_bulk(elements.data(), elements.size(), why);
    }
    [[nodiscard]] std::size_t push_bulk(std::span<const in> elements) {
        return push_bulk(elements.data(), elements.size());
    }
    [[nodiscard]] std::size_t push_bulk(std::span<const in> elements, std::error_code& why) {
        return push_bulk(elements.data(), elements.size(), why);
    }
#endif

    /// Lends a slot to write in, or says at once why not; see write_claim.
    [[nodiscard]] write_claim<T, Handle> try_claim() noexcept { return lend(at_once{}); }
    /// As try_claim, waiting for room.
    [[nodiscard]] write_claim<T, Handle> claim() noexcept { return lend(for_ever{}); }
    template <class Rep, class Period>
    [[nodiscard]] write_claim<T, Handle> try_claim_for(std::chrono::duration<Rep, Period> time) noexcept {
        return lend(within(time));
    }

#ifdef __cpp_lib_jthread
    /// As push, until a stop is requested (errc::interrupted, noticed within about 10 ms). `false`: closed or stopped.
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool push(U&& value, std::stop_token stop) {
        const turtle_status status = give(unless_stopped{std::move(stop)}, std::forward<U>(value));
        return status != TURTLE_INTERRUPTED && done_or_closed(status);
    }
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] bool push(U&& value, std::stop_token stop, std::error_code& why) noexcept(nothrow<U>) {
        return tell(give(unless_stopped{std::move(stop)}, std::forward<U>(value)), why);
    }
    template <class Rep, class Period, class U = in, if_element<U> = 0>
    [[nodiscard]] bool try_push_for(U&& value, std::chrono::duration<Rep, Period> time,
                                    std::stop_token stop) noexcept(nothrow<U>) {
        return give(unless_stopped{std::move(stop), within(time).ns}, std::forward<U>(value)) == TURTLE_OK;
    }
#endif
#ifdef __cpp_lib_expected
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] std::expected<void, errc> try_push(U&& value, as_expected_t) noexcept(nothrow<U>) {
        return expect(give(at_once{}, std::forward<U>(value)));
    }
    template <class U = in, if_element<U> = 0>
    [[nodiscard]] std::expected<void, errc> push(U&& value, as_expected_t) noexcept(nothrow<U>) {
        return expect(give(for_ever{}, std::forward<U>(value)));
    }
    template <class Rep, class Period, class U = in, if_element<U> = 0>
    [[nodiscard]] std::expected<void, errc> try_push_for(U&& value, std::chrono::duration<Rep, Period> time,
                                                         as_expected_t) noexcept(nothrow<U>) {
        return expect(give(within(time), std::forward<U>(value)));
    }
    template <class Clock, class Dur, class U = in, if_element<U> = 0>
    [[nodiscard]] std::expected<void, errc> try_push_until(U&& value, std::chrono::time_point<Clock, Dur> when,
                                                           as_expected_t) noexcept(nothrow<U>) {
        return expect(give(until<Clock, Dur>{when}, std::forward<U>(value)));
    }
#endif

private:
    Handle* handle() noexcept { return static_cast<Self*>(this)->raw(); }
    sight watch() noexcept { return static_cast<Self*>(this)->seen(); }
#ifdef __cpp_lib_expected
    static std::expected<void, errc> expect(turtle_status status) noexcept {
        if (status == TURTLE_OK) return {};
        return std::unexpected(static_cast<errc>(status));
    }
#endif

    template <class Limit>
    write_claim<T, Handle> lend(const Limit& limit) noexcept {
        if constexpr (element<T>::is_record)
            return {handle(), watch(), limit, static_cast<Self*>(this)->max_size()};
        else
            return {handle(), watch(), limit};
    }
    template <class Limit, class... Args>
    turtle_status give(const Limit& limit, Args&&... args) {
        if constexpr (element<T>::is_record) {
            const std::string_view bytes(std::forward<Args>(args)...);
            return limit([&](std::uint64_t ns) {
                return watch().push(bytes.data(), bytes.size(), [&] { return push_record(handle(), bytes, ns); });
            });
        } else if constexpr (!is_plain<T>) {
            return give_in_place(limit, std::forward<Args>(args)...);
        } else if constexpr (sizeof...(Args) == 1 && (std::is_same_v<std::remove_cv_t<std::remove_reference_t<Args>>, T> && ...)) {
            return limit([&](std::uint64_t ns) { return give_bytes(std::addressof(args)..., ns); });
        } else {
            const T value(std::forward<Args>(args)...);
            return limit([&](std::uint64_t ns) { return give_bytes(std::addressof(value), ns); });
        }
    }
    turtle_status give_bytes(const void* value, std::uint64_t ns) noexcept {
        return watch().push(value, sizeof(T), [&] { return detail::push(handle(), value, ns); });
    }
    turtle_status give_bytes(const void* values, std::size_t n, std::size_t* done) noexcept {
        return watch().push(values, sizeof(T) * n, [&] { return push_n(handle(), values, n, done); });
    }

    template <class Limit, class... Args>
    turtle_status give_in_place(const Limit& limit, Args&&... args) {
        std::optional<T> kept; // what was made, as long as no slot has it
        errc why;
        if (!made_in_place(kept, why, limit, std::forward<Args>(args)...) && kept) {
            // An engine that decides late, and others took the room meanwhile: once more, with what was made.
            while (why == errc::full) {
                T again(std::move(*kept));
                kept.reset();
                if (made_in_place(kept, why, limit, std::move(again))) break;
                if (!kept) { // no slot to be had any more
                    kept.emplace(std::move(again));
                    break;
                }
            }
            // Refused after all: the value goes back to where it came from.
            if constexpr (sizeof...(Args) == 1 && (std::is_same_v<Args, T> && ...) && std::is_nothrow_move_assignable_v<T>)
                if (kept) ((args = std::move(*kept)), ...);
        }
        return static_cast<turtle_status>(why);
    }
    /// Makes an element in a slot and publishes it. `false`: not; it is in `kept` if it was made.
    template <class Limit, class... Args>
    bool made_in_place(std::optional<T>& kept, errc& why, const Limit& limit, Args&&... args) {
        write_claim<T, Handle> slot(handle(), watch(), limit);
        why = slot.why();
        if (!slot) return false;
        slot.emplace(std::forward<Args>(args)...);
        if (slot.commit()) return true;
        why = slot.why();
        kept.emplace(std::move(*slot));
        return false;
    }

    /// All of the elements, as far as `limit` lets each wait; the reason if they are fewer.
    template <class Limit, class It>
    std::size_t give_all(const Limit& limit, It& first, std::size_t n, turtle_status& status) {
        std::size_t all = 0;
        for (status = TURTLE_OK; all < n; ++all, ++first) {
            std::size_t done = 0;
            status = give_run(first, n - all, done);
            all += done;
            if (all == n) break;
            if (done == 0 && status != TURTLE_FULL && status != TURTLE_BUSY) break;
            status = give(limit, *first);
            if (status != TURTLE_OK) break;
        }
        return all;
    }
    /// As many as fit, without waiting; `first` moves on by `done`. Not TURTLE_OK if `done` is 0.
    template <class It>
    turtle_status give_run(It& first, std::size_t n, std::size_t& done) {
        using tag = typename std::iterator_traits<It>::iterator_category;
        static_assert(std::is_base_of_v<std::forward_iterator_tag, tag>, "elements that do not fit are read again");
        done = 0;
        if (n == 0) return TURTLE_OK;
        turtle_status status = TURTLE_OK;
        if constexpr (!element<T>::by_bytes) {
            for (; done < n; ++done, ++first) {
                status = give(at_once{}, *first);
                if (status != TURTLE_OK) break;
            }
        } else if constexpr (is_contiguous<It, T>()) {
            status = give_bytes(std::addressof(*first), n, &done);
            first += static_cast<typename std::iterator_traits<It>::difference_type>(done);
        } else {
            while (done < n && status == TURTLE_OK) {
                room<T[chunk<T>]> some;
                const std::size_t count = n - done < chunk<T> ? n - done : chunk<T>;
                It next = first;
                for (std::size_t i = 0; i < count; ++i, ++next) ::new (some.bytes + i * sizeof(T)) T(*next);
                std::size_t pushed = 0;
                status = give_bytes(some.bytes, count, &pushed);
                std::advance(first, static_cast<typename std::iterator_traits<It>::difference_type>(pushed));
                done += pushed;
                if (pushed < count) break;
            }
        }
        return done > 0 ? TURTLE_OK : status;
    }
};

/// The popping calls. `Self` has raw(), the C handle, and seen().
template <class T, class Self, class Handle>
class popper {
    using out = typename element<T>::out;
    static constexpr bool nothrow = !element<T>::is_record && std::is_nothrow_move_constructible_v<out>;
    static constexpr bool nothrow_into = !element<T>::is_record && std::is_nothrow_move_assignable_v<out>;

public:
    /// Takes the oldest element, or says at once that there is none: errc::empty, busy, closed, no_handle.
    /// If T's move throws, the element is gone (as it is for every pop).
    [[nodiscard]] std::optional<out> try_pop() noexcept(nothrow) {
        turtle_status status;
        return take(at_once{}, status);
    }
    [[nodiscard]] std::optional<out> try_pop(std::error_code& why) noexcept(nothrow) {
        return take(at_once{}, why);
    }
    [[nodiscard]] bool try_pop(out& into) noexcept(nothrow_into) {
        return take_into(at_once{}, into) == TURTLE_OK;
    }
    [[nodiscard]] bool try_pop(out& into, std::error_code& why) noexcept(nothrow_into) {
        return tell(take_into(at_once{}, into), why);
    }

    /// Takes the oldest element, waiting for one. Nothing: the ring is closed and drained.
    [[nodiscard]] std::optional<out> pop() {
        turtle_status status;
        std::optional<out> value = take(for_ever{}, status);
        done_or_closed(status);
        return value;
    }
    [[nodiscard]] std::optional<out> pop(std::error_code& why) noexcept(nothrow) {
        return take(for_ever{}, why);
    }
    [[nodiscard]] bool pop(out& into) { return done_or_closed(take_into(for_ever{}, into)); }
    [[nodiscard]] bool pop(out& into, std::error_code& why) noexcept(nothrow_into) {
        return tell(take_into(for_ever{}, into), why);
    }

    /// Takes the oldest element, waiting as long as that. A time of 0 or less is try_pop.
    template <class Rep, class Period>
    [[nodiscard]] std::optional<out> try_pop_for(std::chrono::duration<Rep, Period> time) {
        turtle_status status;
        return take(within(time), status);
    }
    template <class Rep, class Period>
    [[nodiscard]] std::optional<out> try_pop_for(std::chrono::duration<Rep, Period> time, std::error_code& why) {
        return take(within(time), why);
    }
    template <class Rep, class Period>
    [[nodiscard]] bool try_pop_for(out& into, std::chrono::duration<Rep, Period> time) {
        return take_into(within(time), into) == TURTLE_OK;
    }
    template <class Rep, class Period>
    [[nodiscard]] bool try_pop_for(out& into, std::chrono::duration<Rep, Period> time, std::error_code& why) {
        return tell(take_into(within(time), into), why);
    }
    template <class Clock, class Dur>
    [[nodiscard]] std::optional<out> try_pop_until(std::chrono::time_point<Clock, Dur> when) {
        turtle_status status;
        return take(until<Clock, Dur>{when}, status);
    }
    template <class Clock, class Dur>
    [[nodiscard]] std::optional<out> try_pop_until(std::chrono::time_point<Clock, Dur> when, std::error_code& why) {
        return take(until<Clock, Dur>{when}, why);
    }

    /// Takes up to `max` elements without waiting, and writes them to `to`; answers how many.
    /// If `to` or T's move throws, elements taken with that one are gone: reserve room beforehand.
    template <class Out>
    [[nodiscard]] std::size_t try_pop_bulk(Out to, std::size_t max) {
        std::error_code why;
        return try_pop_bulk(to, max, why);
    }
    template <class Out>
    [[nodiscard]] std::size_t try_pop_bulk(Out to, std::size_t max, std::error_code& why) {
        std::size_t done = 0;
        tell(take_run(at_once{}, to, max, done), why);
        return done;
    }
    /// Waits for one element, then takes up to `max` without waiting. 0: the ring is closed and drained (or `max` is 0).
    template <class Out>
    [[nodiscard]] std::size_t pop_bulk(Out to, std::size_t max) {
        std::size_t done = 0;
        done_or_closed(take_run(for_ever{}, to, max, done));
        return done;
    }
    template <class Out>
    [[nodiscard]] std::size_t pop_bulk(Out to, std::size_t max, std::error_code& why) {
        std::size_t done = 0;
        tell(take_run(for_ever{}, to, max, done), why);
        return done;
    }
    template <class Out, class Rep, class Period>
    [[nodiscard]] std::size_t try_pop_bulk_for(Out to, std::size_t max, std::chrono::duration<Rep, Period> time) {
        std::size_t done = 0;
        static_cast<void>(take_run(within(time), to, max, done));
        return done;
    }
    template <class Out, class Rep, class Period>
    [[nodiscard]] std::size_t try_pop_bulk_for(Out to, std::size_t max, std::chrono::duration<Rep, Period> time,
                                               std::error_code& why) {
        std::size_t done = 0;
        tell(take_run(within(time), to, max, done), why);
        return done;
    }
#ifdef __cpp_lib_span
    [[nodiscard]] std::size_t try_pop_bulk(std::span<out> into) { return try_pop_bulk(into.data(), into.size()); }
    [[nodiscard]] std::size_t try_pop_bulk(std::span<out> into, std::error_code& why) {
        return try_pop_bulk(into.data(), into.size(), why);
    }
    [[nodiscard]] std::size_t pop_bulk(std::span<out> into) { return pop_bulk(into.data(), into.size()); }
    [[nodiscard]] std::size_t pop_bulk(std::span<out> into, std::error_code& why) {
        return pop_bulk(into.data(), into.size(), why);
    }
#endif

    /// Takes the oldest element and lends its slot to read, or says at once why not; see read_claim.
    [[nodiscard]] read_claim<T, Handle> try_peek() noexcept { return {handle(), watch(), at_once{}}; }
    /// As try_peek, waiting for an element.
    [[nodiscard]] read_claim<T, Handle> peek() noexcept { return {handle(), watch(), for_ever{}}; }
    template <class Rep, class Period>
    [[nodiscard]] read_claim<T, Handle> try_peek_for(std::chrono::duration<Rep, Period> time) noexcept {
        return {handle(), watch(), within(time)};
    }

#ifdef __cpp_lib_jthread
    /// As pop, until a stop is requested (errc::interrupted, noticed within about 10 ms). Nothing: closed or stopped.
    [[nodiscard]] std::optional<out> pop(std::stop_token stop) {
        turtle_status status;
        std::optional<out> value = take(unless_stopped{std::move(stop)}, status);
        if (status != TURTLE_INTERRUPTED) done_or_closed(status);
        return value;
    }
    [[nodiscard]] std::optional<out> pop(std::stop_token stop, std::error_code& why) {
        return take(unless_stopped{std::move(stop)}, why);
    }
    template <class Rep, class Period>
    [[nodiscard]] std::optional<out> try_pop_for(std::chrono::duration<Rep, Period> time, std::stop_token stop) {
        turtle_status status;
        return take(unless_stopped{std::move(stop), within(time).ns}, status);
    }
#endif
#ifdef __cpp_lib_expected
    [[nodiscard]] std::expected<out, errc> try_pop(as_expected_t) { return expect(at_once{}); }
    [[nodiscard]] std::expected<out, errc> pop(as_expected_t) { return expect(for_ever{}); }
    template <class Rep, class Period>
    [[nodiscard]] std::expected<out, errc> try_pop_for(std::chrono::duration<Rep, Period> time, as_expected_t) {
        return expect(within(time));
    }
    template <class Clock, class Dur>
    [[nodiscard]] std::expected<out, errc> try_pop_until(std::chrono::time_point<Clock, Dur> when, as_expected_t) {
        return expect(until<Clock, Dur>{when});
    }
#endif

    /// Pops one element after the other, waiting; ends when the ring is closed and drained. One pass, one thread.
    /// What `*it` refers to may be moved from.
    class iterator {
        struct last_one { // what `*it++` needs
            out value;
            out operator*() { return std::move(value); }
        };

    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = out;
        using difference_type = std::ptrdiff_t;
        using pointer = out*;
        using reference = out&;

        iterator() = default;
        explicit iterator(popper& from) : from_(&from) { ++*this; }
        /// Throws std::bad_optional_access at the end.
        [[nodiscard]] out& operator*() const { return value_.value(); }
        [[nodiscard]] out* operator->() const { return std::addressof(**this); }
        iterator& operator++() {
            value_.reset();
            if (std::optional<out> next = from_->pop()) value_.emplace(std::move(*next));
            return *this;
        }
        last_one operator++(int) {
            last_one old{std::move(**this)};
            ++*this;
            return old;
        }
        /// Equal when both are at the end, or neither is.
        friend bool operator==(const iterator& a, const iterator& b) noexcept {
            return a.value_.has_value() == b.value_.has_value();
        }
        friend bool operator!=(const iterator& a, const iterator& b) noexcept { return !(a == b); }

    private:
        popper* from_ = nullptr;
        mutable std::optional<out> value_;
    };
    [[nodiscard]] iterator begin() { return iterator(*this); }
    [[nodiscard]] iterator end() noexcept { return {}; }

private:
    Handle* handle() noexcept { return static_cast<Self*>(this)->raw(); }
    sight watch() noexcept { return static_cast<Self*>(this)->seen(); }
#ifdef __cpp_lib_expected
    template <class Limit>
    std::expected<out, errc> expect(const Limit& limit) {
        turtle_status status;
        if (std::optional<out> value = take(limit, status)) return std::move(*value);
        return std::unexpected(static_cast<errc>(status));
    }
#endif

    template <class Limit>
    std::optional<out> take(const Limit& limit, std::error_code& why) {
        turtle_status status;
        std::optional<out> value = take(limit, status);
        tell(status, why);
        return value;
    }
    template <class Limit>
    std::optional<out> take(const Limit& limit, turtle_status& status) {
        if constexpr (element<T>::by_bytes) {
            room<T> value;
            status = limit([&](std::uint64_t ns) { return take_bytes(value.bytes, ns); });
            if (status != TURTLE_OK) return std::nullopt;
            return std::optional<out>(std::in_place, std::move(value.value()));
        } else {
            read_claim<T, Handle> slot(handle(), watch(), limit);
            status = static_cast<turtle_status>(slot.why());
            if (!slot) return std::nullopt;
            return std::optional<out>(std::in_place, std::move(*slot));
        }
    }
    template <class Limit>
    turtle_status take_into(const Limit& limit, out& into) {
        if constexpr (element<T>::by_bytes) {
            return limit([&](std::uint64_t ns) { return take_bytes(std::addressof(into), ns); });
        } else {
            read_claim<T, Handle> slot(handle(), watch(), limit);
            if (slot) into = std::move(*slot);
            return static_cast<turtle_status>(slot.why());
        }
    }
    turtle_status take_bytes(void* into, std::uint64_t ns) noexcept {
        return watch().pop(into, sizeof(T), 1, [&] { return detail::pop(handle(), into, ns); });
    }
    turtle_status take_bytes(void* into, std::size_t max, std::uint64_t ns, std::size_t& done) noexcept {
        return watch().pop(into, sizeof(T), done, [&] { return pop_n(handle(), into, max, ns, &done); });
    }
    /// `done` above 0 and TURTLE_OK, or the reason (or nothing wanted).
    template <class Limit, class Out>
    turtle_status take_run(const Limit& limit, Out& to, std::size_t max, std::size_t& done) {
        done = 0;
        if (max == 0) return TURTLE_OK;
        if constexpr (!element<T>::by_bytes) {
            const auto one = [&](const auto& patience) {
                read_claim<T, Handle> slot(handle(), watch(), patience);
                if (slot) {
                    if constexpr (element<T>::is_record)
                        *to = out(*slot);
                    else
                        *to = std::move(*slot);
                    ++to;
                    ++done;
                }
                return static_cast<turtle_status>(slot.why());
            };
            turtle_status status = one(limit);
            while (status == TURTLE_OK && done < max) status = one(at_once{});
            return done > 0 ? TURTLE_OK : status;
        } else if constexpr (is_contiguous<Out, T>()) {
            return limit([&](std::uint64_t ns) { return take_bytes(std::addressof(*to), max, ns, done); });
        } else {
            room<T[chunk<T>]> some;
            turtle_status status = TURTLE_OK;
            while (done < max) {
                const std::size_t count = max - done < chunk<T> ? max - done : chunk<T>;
                std::size_t popped = 0;
                const auto attempt = [&](std::uint64_t ns) { return take_bytes(some.bytes, count, ns, popped); };
                status = done == 0 ? limit(attempt) : attempt(0);
                for (std::size_t i = 0; i < popped; ++i, ++to)
                    *to = std::move(*object_at<T>(some.bytes + i * sizeof(T)));
                done += popped;
                if (popped < count) break;
            }
            return done > 0 ? TURTLE_OK : status;
        }
    }
};

/// A C ring, and what all kinds of rings can do.
class ring_base {
public:
    /// Closes the ring, for everybody and for good: pushes answer errc::closed; pops take what is inside, then answer
    /// errc::closed. Wakes everyone. Any thread, any number of times.
    void close() noexcept {
        seen().close([&] { return turtle_close(raw()); });
    }
    [[nodiscard]] bool is_closed() const noexcept {
        const bool closed = turtle_is_closed(handle_.get());
        if (closed) seen().closed();
        return closed;
    }
    /// Ends every wait of this process on this ring, once, with errc::interrupted.
    void interrupt() noexcept { static_cast<void>(turtle_interrupt(raw())); }
    /// Gives back the sides that the calling thread owns (strategy::spsc). A thread that ends does so by itself.
    void release_thread() noexcept { static_cast<void>(turtle_release_thread(raw())); }

    /// Looks for participants that died and puts right what they left; answers how many there were. Nobody has to call
    /// it: who waits looks about every 50 ms. 0 for strategies that keep no record of their participants.
    std::size_t reclaim() noexcept {
        std::size_t found = 0;
        static_cast<void>(turtle_reclaim(raw(), &found));
        return found;
    }
    /// Ends a session that nobody has now: its count is forgotten, its place is free. `false`: there is none. Throws
    /// std::system_error: errc::no_handle while its owner is alive; invalid while elements wait for its next consumer;
    /// unsupported.
    bool forget_producer(session which) { return forget(TURTLE_PRODUCER, which); }
    bool forget_consumer(session which) { return forget(TURTLE_CONSUMER, which); }

    /// Elements inside: exact when nobody is active.
    [[nodiscard]] std::size_t size_approx() const noexcept { return turtle_len(handle_.get()); }
    [[nodiscard]] bool empty() const noexcept { return size_approx() == 0; }
    /// Elements that fit.
    [[nodiscard]] std::size_t capacity() const noexcept { return turtle_capacity(handle_.get()); }
    /// What the ring is and what has happened to it. Throws std::system_error for a moved-from ring, and for a private
    /// one in a forked child.
    [[nodiscard]] statistics stats() const {
        statistics out{};
        out.struct_size = sizeof out;
        if (const turtle_status status = turtle_get_stats(handle_.get(), &out); status != TURTLE_OK) fail(status);
        return out;
    }
    /// A descriptor for poll or epoll, readable when an element may be there or the ring is closed; see turtle_event_fd.
    [[nodiscard]] int event_fd() {
        int fd = -1;
        if (const turtle_status status = turtle_event_fd(raw(), &fd); status != TURTLE_OK) fail(status);
        return fd;
    }
    /// The C handle; it belongs to the ring.
    [[nodiscard]] turtle_buffer* raw() noexcept { return handle_.get(); }

    /// For this header.
    [[nodiscard]] sight seen() const noexcept {
#ifdef TURTLE_SANITIZE_THREAD
        static const std::uint64_t nowhere[2] = {}, shared[2] = {};
        statistics now{};
        now.struct_size = sizeof now;
        if (turtle_get_stats(handle_.get(), &now) != TURTLE_OK) return sight(nowhere);
        return sight(now.is_shared != 0 ? static_cast<const void*>(shared) : handle_.get());
#else
        return sight(nullptr);
#endif
    }

protected:
    ring_base() = default;
    turtle_status open(const char* name, const options& wanted, const turtle_options& element) noexcept {
        turtle_options o = element;
        o.strategy = static_cast<std::uint32_t>(wanted.strategy);
        o.flags |= static_cast<std::uint32_t>(wanted.mode);
        o.max_threads = wanted.max_threads;
        o.patience = wanted.patience;
        if (wanted.capacity != 0 || wanted.mode == open_mode::attach) o.capacity = wanted.capacity;
        o.path = name;
        o.mode = wanted.permissions;
        turtle_buffer* made = nullptr;
        const turtle_status status = turtle_open(&o, &made);
        handle_.reset(made);
        return status;
    }
    static turtle_options defaults() noexcept {
        turtle_options o;
        static_cast<void>(turtle_options_init(&o));
        return o;
    }
    /// A capacity as a number of its own, where 0 is a mistake and not the default.
    static options with(std::size_t capacity, strategy engine, open_mode mode = open_mode::create_or_attach) {
        if (capacity == 0) fail(TURTLE_ERR_INVALID, "a ring holds at least 1 element");
        options wanted;
        wanted.capacity = capacity;
        wanted.strategy = engine;
        wanted.mode = mode;
        return wanted;
    }

private:
    bool forget(std::uint32_t side, session which) {
        const turtle_status status = turtle_forget_session(raw(), side, which.id);
        if (status != TURTLE_OK && status != TURTLE_ERR_NOT_FOUND) fail(status);
        return status == TURTLE_OK;
    }
    owned<turtle_buffer> handle_;
};

/// Bytes of the longest record; nothing for other elements.
template <class T>
class longest {};
template <>
class longest<record> {
public:
    /// Bytes of the longest record.
    [[nodiscard]] std::size_t max_size() const noexcept { return max_size_; }

protected:
    std::size_t max_size_ = 0;
};

/// What private and shared rings have in common.
template <class T>
class ring : public ring_base,
             public longest<T>,
             public pusher<T, ring<T>, turtle_buffer>,
             public popper<T, ring<T>, turtle_buffer> {
public:
    using value_type = typename element<T>::out;
    using size_type = std::size_t;

    /// Elements of a shared ring that consumers without a session had taken when they died, of which nobody knows
    /// whether they were used. Each is handed out once, to whoever asks; until then they keep their consumers' places.
    [[nodiscard]] std::vector<value_type> take_orphans() {
        if constexpr (element<T>::is_record)
            return all_orphans<T>(this->raw(), this->max_size());
        else
            return all_orphans<T>(this->raw(), 0);
    }

protected:
    ring() = default;
    turtle_status open(const char* name, const options& wanted) noexcept {
        check_element<T>();
        turtle_options o = defaults();
        o.elem_size = sizeof(T);
        // Other languages leave it at 8 unless they need more, so that rings of one element size fit together.
        o.elem_align = alignof(T) > 8 ? alignof(T) : 8;
        if constexpr (!is_plain<T>) o.drop = [](void* element, void*) { object_at<T>(element)->~T(); };
        return ring_base::open(name, wanted, o);
    }
};

inline options attaching() noexcept {
    options wanted;
    wanted.mode = open_mode::attach;
    return wanted;
}

} // namespace detail

// ------------------------------------------------------------------------------------------------------------ the rings

/// A ring in private memory: any movable type, any thread of this process. Move-only; a moved-from ring answers
/// errc::invalid.
template <class T>
class [[nodiscard]] ring_buffer : public detail::ring<T> {
public:
    /// Throws std::system_error: errc::invalid, no_memory, unsupported.
    explicit ring_buffer(std::size_t capacity, strategy engine = strategy::any)
        : ring_buffer(detail::ring_base::with(capacity, engine)) {}
    explicit ring_buffer(const options& wanted) {
        if (const turtle_status status = this->open(nullptr, wanted); status != TURTLE_OK) detail::fail(status);
    }
    /// The constructor that does not throw.
    [[nodiscard]] static std::optional<ring_buffer> create(const options& wanted, std::error_code& why) noexcept {
        std::optional<ring_buffer> made(ring_buffer{});
        if (!detail::tell(made->open(nullptr, wanted), why)) made.reset();
        return made;
    }
#ifdef __cpp_lib_expected
    [[nodiscard]] static std::expected<ring_buffer, errc> create(const options& wanted) noexcept {
        ring_buffer made;
        if (const turtle_status status = made.open(nullptr, wanted); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
#endif

private:
    ring_buffer() = default;
};

/// A ring in shared memory, found by its name ("/ticks"): plain data, between processes. Destroying it detaches; the
/// ring and what is in it stay until turtle::unlink. Move-only; a moved-from ring answers errc::invalid.
template <class T>
class [[nodiscard]] shared_ring : public detail::ring<T> {
    static_assert(detail::is_plain<T>, "an element that other processes read must be plain data");
    static_assert(!detail::is_address<T>, "an address means nothing to other processes");

public:
    /// Throws std::system_error: errc::not_found, exists, mismatch, corrupt, io, no_memory, invalid, unsupported.
    explicit shared_ring(const std::string& name, const options& wanted = {}) {
        if (const turtle_status status = this->open(name.c_str(), wanted); status != TURTLE_OK) detail::fail(status);
    }
    shared_ring(const std::string& name, std::size_t capacity, strategy engine = strategy::any,
                open_mode mode = open_mode::create_or_attach)
        : shared_ring(name, detail::ring_base::with(capacity, engine, mode)) {}
    /// The ring that is there, whatever its capacity and strategy. Throws errc::not_found if there is none.
    [[nodiscard]] static shared_ring attach(const std::string& name) { return shared_ring(name, detail::attaching()); }
    /// The constructor that does not throw.
    [[nodiscard]] static std::optional<shared_ring> create(const std::string& name, const options& wanted,
                                                           std::error_code& why) noexcept {
        std::optional<shared_ring> made(shared_ring{});
        if (!detail::tell(made->open(name.c_str(), wanted), why)) made.reset();
        return made;
    }
#ifdef __cpp_lib_expected
    [[nodiscard]] static std::expected<shared_ring, errc> create(const std::string& name,
                                                                 const options& wanted = {}) noexcept {
        shared_ring made;
        if (const turtle_status status = made.open(name.c_str(), wanted); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
#endif

private:
    shared_ring() = default;
};

/// Removes the name of a shared ring; who has it open keeps it. `false`: there is no such ring. Throws
/// std::system_error for anything else.
inline bool unlink(const std::string& name) {
    const turtle_status status = turtle_unlink(name.c_str());
    if (status != TURTLE_OK && status != TURTLE_ERR_NOT_FOUND) detail::fail(status);
    return status == TURTLE_OK;
}

/// A ring whose elements are byte strings of varying length, in private or shared memory. It has the calls of the other
/// rings: std::string_view goes in, std::string comes out, claims lend the slot's bytes. A record that is longer than
/// max_size() is errc::invalid. A pop whose string cannot be allocated throws, and that record is gone.
class [[nodiscard]] record_ring : public detail::ring<record> {
public:
    /// Private memory; records of up to `max_size` bytes. Throws std::system_error.
    explicit record_ring(std::size_t max_size, const options& wanted = {}) { built(open_records(nullptr, max_size, wanted)); }
    /// Shared memory. Attaching, a `max_size` of 0 means: whatever is there. Throws std::system_error.
    record_ring(const std::string& name, std::size_t max_size, const options& wanted = {}) {
        built(open_records(name.c_str(), max_size, wanted));
    }
    /// The ring that is there, whatever its sizes and strategy. Throws errc::not_found if there is none.
    [[nodiscard]] static record_ring attach(const std::string& name) { return {name, 0, detail::attaching()}; }
    /// The constructors that do not throw; an empty name is private memory.
    [[nodiscard]] static std::optional<record_ring> create(const std::string& name, std::size_t max_size,
                                                           const options& wanted, std::error_code& why) noexcept {
        std::optional<record_ring> made(record_ring{});
        if (!detail::tell(made->open_records(name.empty() ? nullptr : name.c_str(), max_size, wanted), why)) made.reset();
        return made;
    }
#ifdef __cpp_lib_expected
    [[nodiscard]] static std::expected<record_ring, errc> create(const std::string& name, std::size_t max_size,
                                                                 const options& wanted = {}) noexcept {
        record_ring made;
        if (const turtle_status status = made.open_records(name.empty() ? nullptr : name.c_str(), max_size, wanted);
            status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
#endif

private:
    record_ring() = default;
    void built(turtle_status status) {
        if (status == TURTLE_ERR_MISMATCH && raw() != nullptr) detail::fail(status, "the ring holds elements, not records");
        if (status != TURTLE_OK) detail::fail(status);
    }
    turtle_status open_records(const char* name, std::size_t max_size, const options& wanted) noexcept {
        turtle_options o = defaults();
        const bool whatever = max_size == 0 && wanted.mode == open_mode::attach;
        o.flags = whatever ? 0 : TURTLE_RECORDS;
        o.elem_size = max_size;
        turtle_status status = ring_base::open(name, wanted, o);
        if (status != TURTLE_OK) return status;
        statistics there{};
        there.struct_size = sizeof there;
        status = turtle_get_stats(raw(), &there);
        max_size_ = there.elem_size;
        return status == TURTLE_OK && (there.flags & TURTLE_RECORDS) == 0 ? TURTLE_ERR_MISMATCH : status;
    }
};

// ----------------------------------------------------------------------------------------------------- explicit handles

/// An explicit producer of a ring: for one thread at a time, and a little faster than calls on the ring. It owns the
/// side where the strategy allows one producer, keeps the ring alive, and may move between threads. Move-only.
template <class T>
class [[nodiscard]] producer : public detail::longest<T>, public detail::pusher<T, producer<T>, turtle_producer> {
public:
    using value_type = typename detail::element<T>::out;

    /// Throws std::system_error: errc::no_handle when the strategy allows no more; invalid.
    explicit producer(detail::ring<T>& ring) {
        if (const turtle_status status = open(ring); status != TURTLE_OK) detail::fail(status);
    }
    /// One that is known by a session; recovered() tells what became of it. Throws std::system_error: errc::no_handle
    /// while its owner is alive or when there is no free place; unsupported for a private ring, or a strategy without
    /// records.
    producer(detail::ring<T>& ring, session which) {
        if (const turtle_status status = open(ring, &which); status != TURTLE_OK) detail::fail(status);
    }
    /// The constructor that does not throw.
    [[nodiscard]] static std::optional<producer> create(detail::ring<T>& ring, std::error_code& why) noexcept {
        std::optional<producer> made(producer{});
        if (!detail::tell(made->open(ring), why)) made.reset();
        return made;
    }
    [[nodiscard]] static std::optional<producer> create(detail::ring<T>& ring, session which,
                                                        std::error_code& why) noexcept {
        std::optional<producer> made(producer{});
        if (!detail::tell(made->open(ring, &which), why)) made.reset();
        return made;
    }
#ifdef __cpp_lib_expected
    [[nodiscard]] static std::expected<producer, errc> create(detail::ring<T>& ring) noexcept {
        producer made;
        if (const turtle_status status = made.open(ring); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
    [[nodiscard]] static std::expected<producer, errc> create(detail::ring<T>& ring, session which) noexcept {
        producer made;
        if (const turtle_status status = made.open(ring, &which); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
#endif
    /// Of a session: what became of it until this handle was made.
    [[nodiscard]] const recovery& recovered() const noexcept { return recovered_; }
    /// Closes the ring, for everybody: see ring_buffer. Works after the ring object is gone, too. Any thread.
    void close() noexcept {
        seen_.close([&] { return turtle_producer_close(raw()); });
    }
    /// The C handle; it belongs to the producer.
    [[nodiscard]] turtle_producer* raw() noexcept { return handle_.get(); }
    /// For this header.
    [[nodiscard]] detail::sight seen() const noexcept { return seen_; }

private:
    producer() = default;
    turtle_status open(detail::ring<T>& ring, const session* which = nullptr) noexcept {
        turtle_producer* made = nullptr;
        turtle_recovered was{};
        was.struct_size = sizeof was;
        const turtle_status status = which == nullptr ? turtle_producer_new(ring.raw(), &made)
                                                      : turtle_producer_open(ring.raw(), which->id, &was, &made);
        recovered_ = {was.done, static_cast<std::size_t>(was.orphans), was.died != 0};
        handle_.reset(made);
        seen_ = ring.seen();
        static_cast<detail::longest<T>&>(*this) = ring;
        return status;
    }
    detail::owned<turtle_producer> handle_;
    detail::sight seen_;
    recovery recovered_;
};
template <class T>
producer(ring_buffer<T>&) -> producer<T>;
template <class T>
producer(shared_ring<T>&) -> producer<T>;
producer(record_ring&) -> producer<record>;
template <class T>
producer(shared_ring<T>&, session) -> producer<T>;
producer(record_ring&, session) -> producer<record>;

/// An explicit consumer of a ring; see producer.
template <class T>
class [[nodiscard]] consumer : public detail::popper<T, consumer<T>, turtle_consumer> {
public:
    using value_type = typename detail::element<T>::out;

    /// Throws std::system_error: errc::no_handle when the strategy allows no more; invalid.
    explicit consumer(detail::ring<T>& ring) {
        if (const turtle_status status = open(ring); status != TURTLE_OK) detail::fail(status);
    }
    /// One that is known by a session; recovered() tells what became of it. Throws std::system_error: errc::no_handle
    /// while its owner is alive or when there is no free place; unsupported for a private ring, or a strategy without
    /// records.
    consumer(detail::ring<T>& ring, session which) {
        if (const turtle_status status = open(ring, &which); status != TURTLE_OK) detail::fail(status);
    }
    /// The constructor that does not throw.
    [[nodiscard]] static std::optional<consumer> create(detail::ring<T>& ring, std::error_code& why) noexcept {
        std::optional<consumer> made(consumer{});
        if (!detail::tell(made->open(ring), why)) made.reset();
        return made;
    }
    [[nodiscard]] static std::optional<consumer> create(detail::ring<T>& ring, session which,
                                                        std::error_code& why) noexcept {
        std::optional<consumer> made(consumer{});
        if (!detail::tell(made->open(ring, &which), why)) made.reset();
        return made;
    }
#ifdef __cpp_lib_expected
    [[nodiscard]] static std::expected<consumer, errc> create(detail::ring<T>& ring) noexcept {
        consumer made;
        if (const turtle_status status = made.open(ring); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
    [[nodiscard]] static std::expected<consumer, errc> create(detail::ring<T>& ring, session which) noexcept {
        consumer made;
        if (const turtle_status status = made.open(ring, &which); status != TURTLE_OK)
            return std::unexpected(static_cast<errc>(status));
        return made;
    }
#endif
    /// Of a session: what became of it until this handle was made.
    [[nodiscard]] const recovery& recovered() const noexcept { return recovered_; }
    /// What the last consumer of this session had taken and perhaps not used, oldest first, each once.
    [[nodiscard]] std::vector<value_type> take_orphans() { return detail::all_orphans<T>(raw(), longest_); }
    /// Closes the ring, for everybody: see ring_buffer. Works after the ring object is gone, too. Any thread.
    void close() noexcept {
        seen_.close([&] { return turtle_consumer_close(raw()); });
    }
    /// The C handle; it belongs to the consumer.
    [[nodiscard]] turtle_consumer* raw() noexcept { return handle_.get(); }
    /// For this header.
    [[nodiscard]] detail::sight seen() const noexcept { return seen_; }

private:
    consumer() = default;
    turtle_status open(detail::ring<T>& ring, const session* which = nullptr) noexcept {
        turtle_consumer* made = nullptr;
        turtle_recovered was{};
        was.struct_size = sizeof was;
        const turtle_status status = which == nullptr ? turtle_consumer_new(ring.raw(), &made)
                                                      : turtle_consumer_open(ring.raw(), which->id, &was, &made);
        recovered_ = {was.done, static_cast<std::size_t>(was.orphans), was.died != 0};
        if constexpr (detail::element<T>::is_record) longest_ = ring.max_size();
        handle_.reset(made);
        seen_ = ring.seen();
        return status;
    }
    detail::owned<turtle_consumer> handle_;
    detail::sight seen_;
    recovery recovered_;
    std::size_t longest_ = 0;
};
template <class T>
consumer(ring_buffer<T>&) -> consumer<T>;
template <class T>
consumer(shared_ring<T>&) -> consumer<T>;
consumer(record_ring&) -> consumer<record>;
template <class T>
consumer(shared_ring<T>&, session) -> consumer<T>;
consumer(record_ring&, session) -> consumer<record>;

} // namespace turtle

#ifdef TURTLE_SANITIZE_THREAD
#undef TURTLE_SANITIZE_THREAD
#endif

#endif // TURTLE_HPP
