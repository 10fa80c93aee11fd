/* Finding a GPU; what it is and how it is doing. */
#include "fake.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- finding one ---- */

NVML(nvmlDeviceGetHandleByIndex_v2, unsigned index, nvmlDevice_t *device)
{
    struct call call = begin_lookup(__func__);
    if (call.code == SUCCESS && (index >= gpu_count(call.scenario) || !device))
        return finish(&call, INVALID_ARGUMENT);
    aim(&call, (int)index, -1);
    if (call.code == SUCCESS)
        *device = device_handle(call.gpu, -1);
    return finish(&call, SUCCESS);
}

static bool same_bus_id(const char *text, const char *other)
{
    struct bus_id one, two;
    return parse_bus_id(text, &one) && parse_bus_id(other, &two) && one.domain == two.domain &&
           one.bus == two.bus && one.device == two.device;
}

static bool same_text(const char *one, const char *other) { return strcmp(one, other) == 0; }
static bool same_letters(const char *one, const char *other) { return strcasecmp(one, other) == 0; }

/* Aims at the first device, or MIG device, whose `key` is `wanted`. */
static nvmlReturn_t find(struct call call, const char *key, const char *wanted, bool among_mig,
                         bool (*same)(const char *, const char *), nvmlDevice_t *device)
{
    if (call.code != SUCCESS)
        return finish(&call, call.code);
    if (!wanted || !device)
        return finish(&call, INVALID_ARGUMENT);
    unsigned count = gpu_count(call.scenario);
    for (int gpu = 0; gpu < (int)count; gpu++) {
        for (int mig = -1; mig < (among_mig ? MAX_MIG_DEVICES : 0); mig++) {
            const char *text = gpu_text(call.scenario, gpu, mig, key);
            if (!text || !same(text, wanted))
                continue;
            aim(&call, gpu, mig);
            if (call.code == SUCCESS)
                *device = device_handle(gpu, mig);
            return finish(&call, SUCCESS);
        }
    }
    return finish(&call, NOT_FOUND);
}

NVML(nvmlDeviceGetHandleByUUID, const char *uuid, nvmlDevice_t *device)
{
    return find(begin_lookup(__func__), "uuid", uuid, true, same_letters, device);
}

NVML(nvmlDeviceGetHandleBySerial, const char *serial, nvmlDevice_t *device)
{
    return find(begin_lookup(__func__), "serial", serial, false, same_text, device);
}

NVML(nvmlDeviceGetHandleByPciBusId_v2, const char *bus_id, nvmlDevice_t *device)
{
    return find(begin_lookup(__func__), "pci.bus_id", bus_id, false, same_bus_id, device);
}

/* ---- what it is ---- */

NVML(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned *index)
{
    struct call call = begin_device(__func__, device);
    if (call.code == SUCCESS && !index)
        return finish(&call, INVALID_ARGUMENT);
    if (call.code == SUCCESS)
        *index = (unsigned)(call.mig >= 0 ? call.mig : call.gpu);
    return finish(&call, SUCCESS);
}

TEXT_GETTER(nvmlDeviceGetName, "name")
TEXT_GETTER(nvmlDeviceGetUUID, "uuid")
TEXT_GETTER(nvmlDeviceGetSerial, "serial")
TEXT_GETTER(nvmlDeviceGetBoardPartNumber, "board_part_number")
TEXT_GETTER(nvmlDeviceGetVbiosVersion, "vbios_version")
TEXT_GETTER(nvmlDeviceGetInforomImageVersion, "inforom.image_version")
U32_GETTER(nvmlDeviceGetMinorNumber, "minor_number")
U32_GETTER(nvmlDeviceGetModuleId, "module_id")
U32_GETTER(nvmlDeviceGetNumaNodeId, "numa_node")
U32_GETTER(nvmlDeviceGetBrand, "brand")
U32_GETTER(nvmlDeviceGetArchitecture, "architecture")

NVML(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor)
{
    struct call call = begin_device(__func__, device);
    const char *text = attribute(&call, "compute_capability");
    struct version version;
    if (!text || !parse_version(text, &version))
        return finish(&call, NOT_SUPPORTED);
    if (!major || !minor)
        return finish(&call, INVALID_ARGUMENT);
    *major = (int)version.major;
    *minor = (int)version.minor;
    return finish(&call, SUCCESS);
}

NVML(nvmlDeviceValidateInforom, nvmlDevice_t device)
{
    struct call call = begin_device(__func__, device);
    unsigned valid;
    nvmlReturn_t code = get_u32(&call, "inforom.valid", &valid);
    return finish(&call, code == SUCCESS && !valid ? CORRUPTED_INFOROM : code);
}

/* ---- memory ---- */

static nvmlReturn_t measure(const struct call *call, struct memory_v2 *memory)
{
    nvmlReturn_t code = get_u64(call, "memory.total", &memory->total);
    if (code == SUCCESS)
        code = get_u64(call, "memory.used", &memory->used);
    if (code != SUCCESS)
        return code;
    memory->reserved = number_or(call, "memory.reserved", 0);
    uint64_t taken = memory->reserved + memory->used;
    memory->free = memory->total > taken ? memory->total - taken : 0;
    return SUCCESS;
}

/* The older call counts what the driver keeps for itself as used. */
NVML(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, struct memory *memory)
{
    struct call call = begin_device(__func__, device);
    struct memory_v2 split = {0};
    nvmlReturn_t code = memory ? measure(&call, &split) : INVALID_ARGUMENT;
    if (code == SUCCESS && call.code == SUCCESS)
        *memory = (struct memory){split.total, split.free, split.reserved + split.used};
    return finish(&call, code);
}

NVML_NEWER(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, struct memory_v2 *memory)
{
    struct call call = begin_device(__func__, device);
    if (!memory)
        return finish(&call, INVALID_ARGUMENT);
    if (memory->version != RECORD_VERSION(struct memory_v2, 2))
        return finish(&call, ARGUMENT_VERSION_MISMATCH);
    return finish(&call, measure(&call, memory));
}

NVML(nvmlDeviceGetBAR1MemoryInfo, nvmlDevice_t device, struct bar1_memory *memory)
{
    struct call call = begin_device(__func__, device);
    uint64_t total, used;
    nvmlReturn_t code = memory ? get_u64(&call, "bar1.total", &total) : INVALID_ARGUMENT;
    if (code == SUCCESS)
        code = get_u64(&call, "bar1.used", &used);
    if (code == SUCCESS)
        *memory = (struct bar1_memory){total, total > used ? total - used : 0, used};
    return finish(&call, code);
}

/* ---- how it is doing ---- */

U32_GETTER(nvmlDeviceGetPersistenceMode, "persistence_mode")
U32_GETTER(nvmlDeviceGetComputeMode, "compute_mode")
U32_GETTER(nvmlDeviceGetPerformanceState, "performance_state")
U32_GETTER(nvmlDeviceGetPowerState, "performance_state")
U32_GETTER(nvmlDeviceGetPowerUsage, "power.usage")
U32_GETTER(nvmlDeviceGetPowerManagementLimit, "power.limit")
U32_GETTER(nvmlDeviceGetEnforcedPowerLimit, "power.enforced_limit")
U64_GETTER(nvmlDeviceGetTotalEnergyConsumption, "energy")
U64_GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, "clocks_event_reasons")
U64_GETTER(nvmlDeviceGetSupportedClocksThrottleReasons, "clocks_event_reasons.supported")
GETTER(NVML_NEWER, nvmlDeviceGetCurrentClocksEventReasons, uint64_t, get_u64,
       "clocks_event_reasons")
GETTER(NVML_NEWER, nvmlDeviceGetSupportedClocksEventReasons, uint64_t, get_u64,
       "clocks_event_reasons.supported")

NVML(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, struct utilization *utilization)
{
    struct call call = begin_device(__func__, device);
    if (!utilization)
        return finish(&call, INVALID_ARGUMENT);
    nvmlReturn_t code = get_u32(&call, "utilization.gpu", &utilization->gpu);
    if (code == SUCCESS)
        code = get_u32(&call, "utilization.memory", &utilization->memory);
    return finish(&call, code);
}

enum { THE_GPU = 0 }; /* the only temperature sensor */

NVML(nvmlDeviceGetTemperature, nvmlDevice_t device, unsigned sensor, unsigned *temperature)
{
    struct call call = begin_device(__func__, device);
    if (sensor != THE_GPU)
        return finish(&call, INVALID_ARGUMENT);
    return finish(&call, get_u32(&call, "temperature", temperature));
}

NVML_NEWER(nvmlDeviceGetTemperatureV, nvmlDevice_t device, struct temperature_v1 *temperature)
{
    struct call call = begin_device(__func__, device);
    unsigned number;
    if (!temperature)
        return finish(&call, INVALID_ARGUMENT);
    if (temperature->version != RECORD_VERSION(struct temperature_v1, 1))
        return finish(&call, ARGUMENT_VERSION_MISMATCH);
    if (temperature->sensor != THE_GPU)
        return finish(&call, INVALID_ARGUMENT);
    nvmlReturn_t code = get_u32(&call, "temperature", &number);
    if (code == SUCCESS)
        temperature->temperature = (int)number;
    return finish(&call, code);
}

NVML(nvmlDeviceGetTemperatureThreshold, nvmlDevice_t device, unsigned threshold, unsigned *value)
{
    static const char *const keys[] = {"temperature.shutdown", "temperature.slowdown",
                                       "temperature.memory_max", "temperature.gpu_max"};
    struct call call = begin_device(__func__, device);
    if (threshold >= sizeof keys / sizeof *keys)
        return finish(&call, NOT_SUPPORTED);
    return finish(&call, get_u32(&call, keys[threshold], value));
}

static nvmlReturn_t clock_speed(struct call call, const char *prefix, unsigned domain,
                                unsigned *megahertz)
{
    static const char *const domains[] = {"graphics", "sm", "memory", "video"};
    char key[32];
    if (domain >= sizeof domains / sizeof *domains)
        return finish(&call, INVALID_ARGUMENT);
    snprintf(key, sizeof key, "%s%s", prefix, domains[domain]);
    return finish(&call, get_u32(&call, key, megahertz));
}

NVML(nvmlDeviceGetClockInfo, nvmlDevice_t device, unsigned domain, unsigned *megahertz)
{
    return clock_speed(begin_device(__func__, device), "clock.", domain, megahertz);
}

NVML(nvmlDeviceGetMaxClockInfo, nvmlDevice_t device, unsigned domain, unsigned *megahertz)
{
    return clock_speed(begin_device(__func__, device), "clock.max.", domain, megahertz);
}
