/* Who uses a GPU: processes, and the MIG devices it is cut into. */
#include "fake.h"

#include <stdio.h>

/* ---- processes: the first call asks how many there are, the second fetches them ---- */

static nvmlReturn_t processes(struct call call, const char *key, unsigned *count,
                              struct process_info *infos)
{
    struct process all[MAX_LIST];
    /* The GPU keeps the one list; a MIG device shows what runs in its own instances. */
    const char *text =
        call.code == SUCCESS ? gpu_text(call.scenario, call.gpu, -1, key) : NULL;
    if (!text)
        return finish(&call, NOT_SUPPORTED);
    if (!count)
        return finish(&call, INVALID_ARGUMENT);
    unsigned gpu_instance = (unsigned)number_or(&call, "gpu_instance", UINT32_MAX);
    unsigned compute_instance = (unsigned)number_or(&call, "compute_instance", UINT32_MAX);
    int length = parse_processes(text, all, MAX_LIST);
    unsigned room = infos ? *count : 0, found = 0;
    for (int i = 0; i < length; i++) {
        if (call.mig >= 0 && (all[i].gpu_instance != gpu_instance ||
                              all[i].compute_instance != compute_instance))
            continue;
        if (found < room) {
            infos[found] = (struct process_info){
                .pid = all[i].pid,
                .memory = all[i].memory,
                .gpu_instance = all[i].gpu_instance,
                .compute_instance = all[i].compute_instance,
            };
        }
        found++;
    }
    *count = found;
    return finish(&call, found > room ? INSUFFICIENT_SIZE : SUCCESS);
}

#define PROCESSES(define, symbol, key)                                                      \
    define(symbol, nvmlDevice_t device, unsigned *count, struct process_info *infos)        \
    {                                                                                       \
        return processes(begin_device(__func__, device), key, count, infos);                \
    }
PROCESSES(NVML, nvmlDeviceGetComputeRunningProcesses_v2, "processes.compute")
PROCESSES(NVML, nvmlDeviceGetGraphicsRunningProcesses_v2, "processes.graphics")
PROCESSES(NVML, nvmlDeviceGetMPSComputeRunningProcesses_v2, "processes.mps")
PROCESSES(NVML_NEWER, nvmlDeviceGetComputeRunningProcesses_v3, "processes.compute")
PROCESSES(NVML_NEWER, nvmlDeviceGetGraphicsRunningProcesses_v3, "processes.graphics")
PROCESSES(NVML_NEWER, nvmlDeviceGetMPSComputeRunningProcesses_v3, "processes.mps")

/* ---- MIG ---- */

NVML(nvmlDeviceGetMigMode, nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    struct call call = begin_device(__func__, device);
    nvmlReturn_t code = pending ? get_u32(&call, "mig.mode", current) : INVALID_ARGUMENT;
    if (code == SUCCESS)
        *pending = (unsigned)number_or(&call, "mig.pending", *current);
    return finish(&call, code);
}

/* The one attribute whose absence has a number: a GPU without MIG has room for none. */
NVML(nvmlDeviceGetMaxMigDeviceCount, nvmlDevice_t device, unsigned *count)
{
    struct call call = begin_device(__func__, device);
    if (!count)
        return finish(&call, INVALID_ARGUMENT);
    if (call.code == SUCCESS)
        *count = (unsigned)number_or(&call, "mig.max_devices", 0);
    return finish(&call, SUCCESS);
}

NVML(nvmlDeviceGetMigDeviceHandleByIndex, nvmlDevice_t device, unsigned index, nvmlDevice_t *mig)
{
    struct call call = begin_device(__func__, device);
    unsigned mode;
    nvmlReturn_t code = get_u32(&call, "mig.mode", &mode);
    if (code != SUCCESS || call.code != SUCCESS)
        return finish(&call, code);
    if (!mig || call.mig >= 0 || index >= number_or(&call, "mig.max_devices", 0))
        return finish(&call, INVALID_ARGUMENT);
    if (!mode || !gpu_text(call.scenario, call.gpu, (int)index, "uuid"))
        return finish(&call, NOT_FOUND);
    *mig = device_handle(call.gpu, (int)index);
    return finish(&call, SUCCESS);
}

NVML(nvmlDeviceIsMigDeviceHandle, nvmlDevice_t device, unsigned *is_mig)
{
    struct call call = begin_device(__func__, device);
    if (!is_mig)
        return finish(&call, INVALID_ARGUMENT);
    *is_mig = call.mig >= 0;
    return finish(&call, SUCCESS);
}

NVML(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, nvmlDevice_t mig, nvmlDevice_t *device)
{
    struct call call = begin_device(__func__, mig);
    if (call.code == SUCCESS && (call.mig < 0 || !device))
        return finish(&call, INVALID_ARGUMENT);
    if (call.code == SUCCESS)
        *device = device_handle(call.gpu, -1);
    return finish(&call, SUCCESS);
}

U32_GETTER(nvmlDeviceGetGpuInstanceId, "gpu_instance")
U32_GETTER(nvmlDeviceGetComputeInstanceId, "compute_instance")

NVML(nvmlDeviceGetAttributes_v2, nvmlDevice_t device, struct device_attributes *attributes)
{
    struct call call = begin_device(__func__, device);
    const char *text = attribute(&call, "attributes");
    uint64_t numbers[9];
    if (!text || parse_numbers(text, numbers, 9) != 9)
        return finish(&call, NOT_SUPPORTED);
    if (!attributes)
        return finish(&call, INVALID_ARGUMENT);
    for (int i = 0; i < 8; i++)
        attributes->counts[i] = (unsigned)numbers[i];
    attributes->memory_mb = numbers[8];
    return finish(&call, SUCCESS);
}
