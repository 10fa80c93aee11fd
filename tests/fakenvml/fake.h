/*
 * A fake NVIDIA driver library: the C interface that Python's `pynvml` expects, answered from a
 * text file. README.md beside this file documents the scenario keys.
 *
 * The record layouts follow the ctypes declarations of nvidia-ml-py; a test compares their sizes.
 *
 *   values.c    text of a scenario value -> numbers, lists, bus ids
 *   keys.c      which keys exist, and which values each of them takes
 *   scenario.c  reading the scenario file and looking keys up
 *   library.c   init and shutdown, what every call goes through, versions
 *   device.c    finding a GPU; what it is and how it is doing
 *   errors.c    ECC, remapped rows, retired pages, field values
 *   tenants.c   processes and MIG
 *   links.c     PCI, NVLink and the fabric
 *   events.c    event sets and the event file
 */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    TIMEOUT = 10,
    CORRUPTED_INFOROM = 14,
    GPU_IS_LOST = 15,
    INSUFFICIENT_RESOURCES = 23,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999,
};

enum { MAX_GPUS = 64, MAX_MIG_DEVICES = 16, MAX_LIST = 256 };

typedef unsigned int nvmlReturn_t;
typedef void *nvmlDevice_t;   /* never dereferenced: an encoded index, see library.c */
typedef void *nvmlEventSet_t; /* likewise, see events.c */

/*
 * Defines an exported function and notes its name, so that a scenario that speaks of a function
 * which does not exist is refused. NVML_NEWER marks those that old drivers lack: the "old" build
 * keeps them out of the library's symbol table.
 */
#define NVML_DEFINE(visible, symbol, ...)                                                       \
    static const char *const name_of_##symbol __attribute__((section("nvml_symbols"), used)) =  \
        #symbol;                                                                                \
    __attribute__((visibility(visible))) nvmlReturn_t symbol(__VA_ARGS__)
#define NVML(symbol, ...) NVML_DEFINE("default", symbol, __VA_ARGS__)
#ifdef FAKE_NVML_OLD
#define NVML_NEWER(symbol, ...) NVML_DEFINE("hidden", symbol, __VA_ARGS__)
#else
#define NVML_NEWER(symbol, ...) NVML_DEFINE("default", symbol, __VA_ARGS__)
#endif

/* A record that carries its own size and version in its first word. */
#define RECORD_VERSION(type, number) ((unsigned)sizeof(type) | (unsigned)(number) << 24)
#define HAS_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)

/* ---- values.c: each returns false, or -1, when the text is not such a value ---- */

struct version { unsigned major, minor; };
struct bus_id { unsigned domain, bus, device; };
struct process { unsigned pid; uint64_t memory; unsigned gpu_instance, compute_instance; };
struct page { uint64_t address, timestamp; };
struct field {
    nvmlReturn_t code;
    unsigned type;
    union { double d; uint64_t u; int64_t s; } value;
};

bool parse_number(const char *text, uint64_t *number); /* decimal, 0x…, on/off, KiB MiB GiB */
bool parse_seconds(const char *text, double *seconds); /* "wedge" gives infinity */
bool parse_version(const char *text, struct version *version);
bool parse_bus_id(const char *text, struct bus_id *id);
bool parse_uuid_bytes(const char *text, unsigned char bytes[16]);
bool parse_field(const char *text, struct field *field);
int parse_numbers(const char *text, uint64_t *numbers, int most);
int parse_processes(const char *text, struct process *processes, int most);
int parse_pages(const char *text, struct page *pages, int most);

/* ---- keys.c ---- */

/* NULL when the pair is in order, else what is wrong with it. */
const char *key_complaint(const char *key, const char *value);
bool symbol_exists(const char *name);

/* ---- scenario.c: callers hold the library's lock, except for scenario_value() ---- */

struct scenario;

void scenario_choose_file(void); /* from the environment; at the first nvmlInit */
struct scenario *scenario_acquire(void); /* newest; NULL when there is none or it is malformed */
void scenario_release(struct scenario *scenario);
const char *scenario_value(const struct scenario *scenario, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* False when the key is absent. A relative path is relative to the scenario file. */
bool scenario_path(const struct scenario *scenario, const char *key, char path[PATH_MAX]);

/* ---- library.c ---- */

struct call {
    const char *symbol;
    struct scenario *scenario; /* NULL only when code is not SUCCESS */
    int gpu, mig;              /* -1: none */
    nvmlReturn_t code;         /* what was decided before the function itself had a say */
};

void library_lock(void);
void library_unlock(void);
bool library_is_initialized(void); /* callers hold the lock */
double monotonic_seconds(void);
void sleep_seconds(double seconds); /* infinity: for ever, and deaf to every signal but SIGKILL */

/* Each function begins with one of the first three and ends with finish(). */
struct call begin(const char *symbol);                             /* no GPU involved */
struct call begin_device(const char *symbol, nvmlDevice_t device); /* a GPU or MIG device */
struct call begin_lookup(const char *symbol); /* find the GPU, then aim() at it */
void aim(struct call *call, int gpu, int mig);
nvmlReturn_t finish(struct call *call, nvmlReturn_t code);

nvmlReturn_t forced_code(const struct call *call);
void call_log(const struct call *call, const char *outcome);
unsigned gpu_count(const struct scenario *scenario);
nvmlDevice_t device_handle(int gpu, int mig);
const char *gpu_text(const struct scenario *scenario, int gpu, int mig, const char *key);

/* Attributes of the GPU the call is aimed at. An absent one is NOT_SUPPORTED, never zero. */
const char *attribute(const struct call *call, const char *key);
nvmlReturn_t get_u32(const struct call *call, const char *key, unsigned *value);
nvmlReturn_t get_u64(const struct call *call, const char *key, uint64_t *value);
nvmlReturn_t get_text(const struct call *call, const char *key, char *buffer, unsigned length);
nvmlReturn_t copy_text(const char *text, char *buffer, unsigned length);
uint64_t number_or(const struct call *call, const char *key, uint64_t otherwise);

/* Functions that hand out one number, or one text, kept under one key. */
#define GETTER(define, symbol, type, get, key)                             \
    define(symbol, nvmlDevice_t device, type *value)                       \
    {                                                                      \
        struct call call = begin_device(__func__, device);                 \
        return finish(&call, get(&call, key, value));                      \
    }
#define U32_GETTER(symbol, key) GETTER(NVML, symbol, unsigned, get_u32, key)
#define U64_GETTER(symbol, key) GETTER(NVML, symbol, uint64_t, get_u64, key)
#define TEXT_GETTER(symbol, key)                                           \
    NVML(symbol, nvmlDevice_t device, char *buffer, unsigned length)       \
    {                                                                      \
        struct call call = begin_device(__func__, device);                 \
        return finish(&call, get_text(&call, key, buffer, length));        \
    }

/* ---- events.c: callers hold the lock ---- */

void event_sets_discard(void);

/* ---- the records ---- */

struct memory { uint64_t total, free, used; };
struct memory_v2 { unsigned version; uint64_t total, reserved, free, used; };
struct bar1_memory { uint64_t total, free, used; };
struct utilization { unsigned gpu, memory; };
struct temperature_v1 { unsigned version, sensor; int temperature; };
struct pci_info {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};
struct process_info { unsigned pid; uint64_t memory; unsigned gpu_instance, compute_instance; };
struct field_value {
    uint32_t field, scope;
    int64_t timestamp, latency;
    unsigned type;
    nvmlReturn_t code;
    union {
        double d;
        unsigned ui;
        unsigned long ul;
        unsigned long long ull;
        long long sll;
        int si;
        unsigned short us;
    } value;
};
struct event_data {
    nvmlDevice_t device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};
struct fabric_info {
    unsigned char cluster[16];
    nvmlReturn_t status;
    uint32_t clique;
    unsigned state;
};
struct fabric_info_v2 { unsigned version; struct fabric_info info; uint32_t health_mask; };
struct fabric_info_v3 {
    unsigned version;
    struct fabric_info info;
    uint32_t health_mask;
    uint8_t health_summary;
};
struct row_remapper_histogram { unsigned max, high, partial, low, none; };
struct device_attributes { unsigned counts[8]; uint64_t memory_mb; };
struct sram_error_status { unsigned version; uint64_t counts[11]; unsigned threshold_exceeded; };

HAS_SIZE(struct memory, 24);
HAS_SIZE(struct memory_v2, 40);
HAS_SIZE(struct bar1_memory, 24);
HAS_SIZE(struct utilization, 8);
HAS_SIZE(struct temperature_v1, 12);
HAS_SIZE(struct pci_info, 68);
HAS_SIZE(struct process_info, 24);
HAS_SIZE(struct field_value, 40);
HAS_SIZE(struct event_data, 32);
HAS_SIZE(struct fabric_info, 28);
HAS_SIZE(struct fabric_info_v2, 36);
HAS_SIZE(struct fabric_info_v3, 40);
HAS_SIZE(struct row_remapper_histogram, 20);
HAS_SIZE(struct device_attributes, 40);
HAS_SIZE(struct sram_error_status, 104);

#endif
