/* Init and shutdown, what every call goes through, versions. */
#include "fake.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Held for looking things up, never while a call sleeps. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned initializations;
static atomic_uint generation; /* handles do not outlive the shutdown that ends it */

void library_lock(void) { pthread_mutex_lock(&mutex); }
void library_unlock(void) { pthread_mutex_unlock(&mutex); }
bool library_is_initialized(void) { return initializations > 0; }

/* A fork must not leave the child with a mutex that a thread it does not have is holding. */
__attribute__((constructor)) static void survive_fork(void)
{
    pthread_atfork(library_lock, library_unlock, library_unlock);
}

/* ---- time ---- */

double monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sleep_seconds(double seconds)
{
    if (isinf(seconds)) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
        for (;;)
            pause();
    }
    double until = monotonic_seconds() + seconds;
    struct timespec deadline = {.tv_sec = (time_t)until};
    deadline.tv_nsec = (long)((until - (double)deadline.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) != 0)
        continue;
}

/* ---- handles: an index, not an address. Nothing on either side of the ABI looks inside. ---- */

#define HANDLE_MARK ((uintptr_t)0x4e56)
_Static_assert(sizeof(uintptr_t) == 8, "handles need 64 bits");

nvmlDevice_t device_handle(int gpu, int mig)
{
    return (nvmlDevice_t)(HANDLE_MARK << 48 | (uintptr_t)(generation & 0xffff) << 32 |
                          (uintptr_t)gpu << 8 | (uintptr_t)(mig + 1));
}

static bool decode_handle(nvmlDevice_t device, int *gpu, int *mig)
{
    uintptr_t bits = (uintptr_t)device;
    *gpu = (int)(bits >> 8 & 0xffffff);
    *mig = (int)(bits & 0xff) - 1;
    return *gpu < MAX_GPUS && *mig < MAX_MIG_DEVICES && device_handle(*gpu, *mig) == device;
}

/* ---- looking things up ---- */

unsigned gpu_count(const struct scenario *scenario)
{
    uint64_t count = 0;
    const char *text = scenario_value(scenario, "gpu.count");
    if (text)
        parse_number(text, &count);
    return (unsigned)count;
}

const char *gpu_text(const struct scenario *scenario, int gpu, int mig, const char *key)
{
    char part[24] = "";
    if (mig >= 0)
        snprintf(part, sizeof part, "mig.%d.", mig);
    const char *text = scenario_value(scenario, "gpu.%d.%s%s", gpu, part, key);
    return text ? text : scenario_value(scenario, "gpu.*.%s%s", part, key);
}

const char *attribute(const struct call *call, const char *key)
{
    return call->code == SUCCESS ? gpu_text(call->scenario, call->gpu, call->mig, key) : NULL;
}

nvmlReturn_t get_u64(const struct call *call, const char *key, uint64_t *value)
{
    const char *text = attribute(call, key);
    if (!text)
        return NOT_SUPPORTED;
    if (!value)
        return INVALID_ARGUMENT;
    return parse_number(text, value) ? SUCCESS : UNKNOWN;
}

nvmlReturn_t get_u32(const struct call *call, const char *key, unsigned *value)
{
    uint64_t number = 0;
    nvmlReturn_t code = get_u64(call, key, value ? &number : NULL);
    if (code == SUCCESS)
        *value = (unsigned)number;
    return code;
}

uint64_t number_or(const struct call *call, const char *key, uint64_t otherwise)
{
    uint64_t number;
    return get_u64(call, key, &number) == SUCCESS ? number : otherwise;
}

nvmlReturn_t copy_text(const char *text, char *buffer, unsigned length)
{
    if (!text)
        return NOT_SUPPORTED;
    if (!buffer)
        return INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

nvmlReturn_t get_text(const struct call *call, const char *key, char *buffer, unsigned length)
{
    return copy_text(attribute(call, key), buffer, length);
}

/* ---- what every call goes through ---- */

/* "return" or "delay" for this call: the nearest wins, a GPU's own before everyone's. Those calls
 * that keep the library itself in order are only ever steered by name, never by a '*'. */
static const char *steering(const struct call *call, const char *what)
{
    const char *const names[] = {call->symbol, "*"};
    const bool bookkeeping = strcmp(call->symbol, "nvmlInitWithFlags") == 0 ||
                             strcmp(call->symbol, "nvmlShutdown") == 0 ||
                             strcmp(call->symbol, "nvmlEventSetFree") == 0;
    char key[128];
    const char *text = NULL;
    for (int i = 0; !text && i < 2 && call->gpu >= 0; i++) {
        snprintf(key, sizeof key, "%s.%s", what, names[i]);
        text = gpu_text(call->scenario, call->gpu, -1, key);
    }
    for (int i = 0; !text && i < (bookkeeping ? 1 : 2); i++)
        text = scenario_value(call->scenario, "%s.%s", what, names[i]);
    return text;
}

nvmlReturn_t forced_code(const struct call *call)
{
    uint64_t code = SUCCESS;
    const char *text = steering(call, "return");
    if (text)
        parse_number(text, &code);
    return (nvmlReturn_t)code;
}

void call_log(const struct call *call, const char *outcome)
{
    char path[PATH_MAX], line[256], gpu[16] = "-";
    if (!call->scenario || !scenario_path(call->scenario, "call_log", path))
        return;
    if (call->gpu >= 0)
        snprintf(gpu, sizeof gpu, "%d", call->gpu);
    int length = snprintf(line, sizeof line, "%.6f %s %s %s\n", monotonic_seconds(), call->symbol,
                          gpu, outcome);
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0)
        return;
    if (write(log, line, (size_t)length) != length)
        perror("fake NVML: call log");
    close(log);
}

/* Takes hold of the scenario as it is now. */
static void refresh(struct call *call, bool initializing)
{
    library_lock();
    scenario_release(call->scenario);
    call->scenario = NULL;
    if (!initializing && !library_is_initialized())
        call->code = UNINITIALIZED;
    else if (!(call->scenario = scenario_acquire()))
        call->code = UNKNOWN;
    library_unlock();
}

/* Sleeps as the scenario asks for, then decides whether the function gets a say at all. */
static void steer(struct call *call, bool initializing)
{
    double seconds = 0;
    if (call->code != SUCCESS)
        return;
    const char *delay = steering(call, "delay");
    if (delay && parse_seconds(delay, &seconds) && seconds > 0) {
        call_log(call, isinf(seconds) ? "wedged" : "sleeping");
        sleep_seconds(seconds);
        refresh(call, initializing); /* the answer is as of now, not as of the question */
    }
    if (call->code == SUCCESS)
        call->code = forced_code(call);
}

struct call begin_lookup(const char *symbol)
{
    struct call call = {.symbol = symbol, .gpu = -1, .mig = -1};
    refresh(&call, false);
    return call;
}

struct call begin(const char *symbol)
{
    struct call call = begin_lookup(symbol);
    steer(&call, false);
    return call;
}

void aim(struct call *call, int gpu, int mig)
{
    call->gpu = gpu;
    call->mig = mig;
    steer(call, false);
    if (call->code == SUCCESS && (unsigned)gpu >= gpu_count(call->scenario))
        call->code = GPU_IS_LOST; /* the scenario took away a GPU that someone still holds */
}

struct call begin_device(const char *symbol, nvmlDevice_t device)
{
    int gpu, mig;
    struct call call = begin_lookup(symbol);
    if (call.code == SUCCESS && !decode_handle(device, &gpu, &mig))
        call.code = INVALID_ARGUMENT;
    if (call.code == SUCCESS)
        aim(&call, gpu, mig);
    return call;
}

nvmlReturn_t finish(struct call *call, nvmlReturn_t code)
{
    char outcome[16];
    if (call->code != SUCCESS)
        code = call->code;
    snprintf(outcome, sizeof outcome, "%u", code);
    call_log(call, outcome);
    library_lock();
    scenario_release(call->scenario);
    library_unlock();
    return code;
}

/* ---- init and shutdown ---- */

NVML(nvmlInitWithFlags, unsigned flags)
{
    (void)flags;
    struct call call = {.symbol = __func__, .gpu = -1, .mig = -1};
    library_lock();
    if (!library_is_initialized())
        scenario_choose_file();
    library_unlock();
    refresh(&call, true);
    steer(&call, true);
    if (call.code == SUCCESS) {
        library_lock();
        initializations++;
        library_unlock();
    }
    return finish(&call, SUCCESS);
}

NVML(nvmlShutdown, void)
{
    struct call call = begin(__func__);
    if (call.code == SUCCESS) {
        library_lock();
        if (!library_is_initialized()) { /* another thread was faster */
            call.code = UNINITIALIZED;
        } else if (--initializations == 0) {
            generation++;
            event_sets_discard();
        }
        library_unlock();
    }
    return finish(&call, SUCCESS);
}

/* ---- the driver as a whole ---- */

NVML(nvmlSystemGetDriverVersion, char *buffer, unsigned length)
{
    struct call call = begin(__func__);
    if (call.code != SUCCESS)
        return finish(&call, call.code);
    const char *version = scenario_value(call.scenario, "driver_version");
    return finish(&call, copy_text(version, buffer, length));
}

NVML(nvmlSystemGetNVMLVersion, char *buffer, unsigned length)
{
    struct call call = begin(__func__);
    if (call.code != SUCCESS)
        return finish(&call, call.code);
    const char *version = scenario_value(call.scenario, "nvml_version");
    return finish(&call, copy_text(version, buffer, length));
}

static nvmlReturn_t cuda_version(struct call call, int *number)
{
    struct version version;
    const char *text = call.code == SUCCESS ? scenario_value(call.scenario, "cuda_version") : NULL;
    if (!text || !parse_version(text, &version))
        return finish(&call, NOT_SUPPORTED);
    if (!number)
        return finish(&call, INVALID_ARGUMENT);
    *number = (int)(version.major * 1000 + version.minor * 10);
    return finish(&call, SUCCESS);
}

NVML(nvmlSystemGetCudaDriverVersion, int *number)
{
    return cuda_version(begin(__func__), number);
}

NVML(nvmlSystemGetCudaDriverVersion_v2, int *number)
{
    return cuda_version(begin(__func__), number);
}

NVML(nvmlDeviceGetCount_v2, unsigned *count)
{
    struct call call = begin(__func__);
    if (call.code != SUCCESS)
        return finish(&call, call.code);
    if (!count)
        return finish(&call, INVALID_ARGUMENT);
    *count = gpu_count(call.scenario);
    return finish(&call, SUCCESS);
}

__attribute__((visibility("default"))) const char *nvmlErrorString(nvmlReturn_t code)
{
    static const char *const texts[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported",
        "Insufficient Permissions", "Already Initialized", "Not Found", "Insufficient Size",
        "Insufficient External Power", "Driver Not Loaded", "Timeout", "Interrupt Request Issue",
        "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM", "GPU is lost",
        "GPU requires reset", "Blocked by the Operating System",
        "Driver/library version mismatch", "In use by another client", "Out of memory", "No data",
        "ECC not supported under vGPU", "Insufficient resources", "Frequency not supported",
        "Argument version mismatch", "Deprecated", "Not ready", "GPU not found", "Invalid state",
    };
    return code < sizeof texts / sizeof *texts ? texts[code] : "Unknown Error";
}

/* ---- for this project's own tests ---- */

#ifdef FAKE_NVML_FINGERPRINT
/* What this library was built from; build.py looks for it in the file. */
static const char fingerprint[] __attribute__((used)) = FAKE_NVML_FINGERPRINT;
#endif

/* The size of a record, by the name that pynvml gives it; 0 when this library does not have it. */
__attribute__((visibility("default"))) size_t fake_nvml_sizeof(const char *name)
{
    static const struct { const char *name; size_t size; } records[] = {
        {"c_nvmlMemory_t", sizeof(struct memory)},
        {"c_nvmlMemory_v2_t", sizeof(struct memory_v2)},
        {"c_nvmlBAR1Memory_t", sizeof(struct bar1_memory)},
        {"c_nvmlUtilization_t", sizeof(struct utilization)},
        {"c_nvmlTemperature_v1_t", sizeof(struct temperature_v1)},
        {"nvmlPciInfo_t", sizeof(struct pci_info)},
        {"c_nvmlProcessInfo_v3_t", sizeof(struct process_info)},
        {"c_nvmlFieldValue_t", sizeof(struct field_value)},
        {"c_nvmlEventData_t", sizeof(struct event_data)},
        {"c_nvmlGpuFabricInfo_t", sizeof(struct fabric_info)},
        {"c_nvmlGpuFabricInfo_v2_t", sizeof(struct fabric_info_v2)},
        {"c_nvmlGpuFabricInfo_v3_t", sizeof(struct fabric_info_v3)},
        {"c_nvmlRowRemapperHistogramValues", sizeof(struct row_remapper_histogram)},
        {"c_nvmlDeviceAttributes", sizeof(struct device_attributes)},
        {"c_nvmlEccSramErrorStatus_v1_t", sizeof(struct sram_error_status)},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        if (strcmp(records[i].name, name) == 0)
            return records[i].size;
    }
    return 0;
}
