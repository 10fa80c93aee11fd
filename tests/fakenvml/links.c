/* How a GPU is connected: PCI, NVLink and the fabric. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

/* ---- PCI ---- */

/* The library writes eight digits of domain where the kernel writes four. */
NVML(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, struct pci_info *info)
{
    struct call call = begin_device(__func__, device);
    const char *text = attribute(&call, "pci.bus_id");
    struct bus_id id;
    if (!text || !parse_bus_id(text, &id))
        return finish(&call, NOT_SUPPORTED);
    if (!info)
        return finish(&call, INVALID_ARGUMENT);
    *info = (struct pci_info){
        .domain = id.domain,
        .bus = id.bus,
        .device = id.device,
        .device_id = (unsigned)number_or(&call, "pci.device_id", 0),
        .subsystem_id = (unsigned)number_or(&call, "pci.subsystem_id", 0),
    };
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0",
             id.domain & 0xffff, id.bus & 0xff, id.device & 0xff);
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", id.domain, id.bus, id.device);
    return finish(&call, SUCCESS);
}

U32_GETTER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie.generation")
U32_GETTER(nvmlDeviceGetCurrPcieLinkWidth, "pcie.width")
U32_GETTER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie.max_generation")
U32_GETTER(nvmlDeviceGetMaxPcieLinkWidth, "pcie.max_width")
U32_GETTER(nvmlDeviceGetPcieReplayCounter, "pcie.replay_counter")

/* ---- NVLink: INVALID_ARGUMENT ends the list of links ---- */

static nvmlReturn_t link_state(const struct call *call, unsigned link, unsigned *state)
{
    const char *text = attribute(call, "nvlink.states");
    uint64_t states[MAX_LIST];
    if (!text)
        return NOT_SUPPORTED;
    int count = parse_numbers(text, states, MAX_LIST);
    if (count < 0 || link >= (unsigned)count)
        return INVALID_ARGUMENT;
    *state = (unsigned)states[link];
    return SUCCESS;
}

NVML(nvmlDeviceGetNvLinkState, nvmlDevice_t device, unsigned link, unsigned *state)
{
    struct call call = begin_device(__func__, device);
    return finish(&call, state ? link_state(&call, link, state) : INVALID_ARGUMENT);
}

static nvmlReturn_t of_a_link(struct call call, unsigned link, const char *key, unsigned *value)
{
    unsigned state;
    nvmlReturn_t code = link_state(&call, link, &state);
    return finish(&call, code == SUCCESS ? get_u32(&call, key, value) : code);
}

NVML(nvmlDeviceGetNvLinkVersion, nvmlDevice_t device, unsigned link, unsigned *version)
{
    return of_a_link(begin_device(__func__, device), link, "nvlink.version", version);
}

NVML(nvmlDeviceGetNvLinkRemoteDeviceType, nvmlDevice_t device, unsigned link, unsigned *type)
{
    return of_a_link(begin_device(__func__, device), link, "nvlink.remote_type", type);
}

/* ---- the fabric between NVSwitch systems ---- */

static nvmlReturn_t fabric(const struct call *call, struct fabric_info *info)
{
    unsigned state;
    nvmlReturn_t code = get_u32(call, "fabric.state", &state);
    if (code != SUCCESS)
        return code;
    memset(info->cluster, 0, sizeof info->cluster);
    const char *uuid = attribute(call, "fabric.cluster_uuid");
    if (uuid)
        parse_uuid_bytes(uuid, info->cluster);
    info->state = state;
    info->status = (nvmlReturn_t)number_or(call, "fabric.status", SUCCESS);
    info->clique = (uint32_t)number_or(call, "fabric.clique", 0);
    return SUCCESS;
}

NVML_NEWER(nvmlDeviceGetGpuFabricInfo, nvmlDevice_t device, struct fabric_info *info)
{
    struct call call = begin_device(__func__, device);
    return finish(&call, info ? fabric(&call, info) : INVALID_ARGUMENT);
}

/* Version 3 is version 2 with one more byte; "fabric.newest_version = 2" is a driver before it. */
NVML_NEWER(nvmlDeviceGetGpuFabricInfoV, nvmlDevice_t device, struct fabric_info_v2 *record)
{
    struct call call = begin_device(__func__, device);
    if (call.code != SUCCESS || !record)
        return finish(&call, INVALID_ARGUMENT);
    uint64_t newest = number_or(&call, "fabric.newest_version", 3);
    bool third = newest >= 3 && record->version == RECORD_VERSION(struct fabric_info_v3, 3);
    if (!third && record->version != RECORD_VERSION(struct fabric_info_v2, 2))
        return finish(&call, ARGUMENT_VERSION_MISMATCH);
    nvmlReturn_t code = fabric(&call, &record->info);
    if (code != SUCCESS)
        return finish(&call, code);
    record->health_mask = (uint32_t)number_or(&call, "fabric.health_mask", 0);
    if (third)
        ((struct fabric_info_v3 *)record)->health_summary =
            (uint8_t)number_or(&call, "fabric.health_summary", 0);
    return finish(&call, SUCCESS);
}
