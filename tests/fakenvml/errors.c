/* ECC, remapped rows, retired pages, and field values. */
#include "fake.h"

#include <stdio.h>
#include <time.h>

/* ---- ECC ---- */

NVML(nvmlDeviceGetEccMode, nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    struct call call = begin_device(__func__, device);
    nvmlReturn_t code = pending ? get_u32(&call, "ecc.mode", current) : INVALID_ARGUMENT;
    if (code == SUCCESS)
        *pending = (unsigned)number_or(&call, "ecc.pending", *current);
    return finish(&call, code);
}

static nvmlReturn_t ecc_count(struct call call, unsigned type, unsigned counter,
                              const char *location, uint64_t *count)
{
    static const char *const types[] = {"corrected", "uncorrected"};
    static const char *const counters[] = {"volatile", "aggregate"};
    char key[64];
    if (type > 1 || counter > 1)
        return finish(&call, INVALID_ARGUMENT);
    if (number_or(&call, "ecc.mode", 0) == 0)
        return finish(&call, NOT_SUPPORTED);
    snprintf(key, sizeof key, "ecc.%s.%s%s", counters[counter], types[type], location);
    return finish(&call, get_u64(&call, key, count));
}

NVML(nvmlDeviceGetTotalEccErrors, nvmlDevice_t device, unsigned type, unsigned counter,
     uint64_t *count)
{
    return ecc_count(begin_device(__func__, device), type, counter, "", count);
}

NVML(nvmlDeviceGetMemoryErrorCounter, nvmlDevice_t device, unsigned type, unsigned counter,
     unsigned location, uint64_t *count)
{
    enum { DRAM = 2, SRAM = 7 };
    struct call call = begin_device(__func__, device);
    if (location != DRAM && location != SRAM)
        return finish(&call, NOT_SUPPORTED);
    return ecc_count(call, type, counter, location == DRAM ? ".dram" : ".sram", count);
}

NVML_NEWER(nvmlDeviceGetSramEccErrorStatus, nvmlDevice_t device, struct sram_error_status *status)
{
    struct call call = begin_device(__func__, device);
    uint64_t numbers[12];
    if (!status)
        return finish(&call, INVALID_ARGUMENT);
    if (status->version != RECORD_VERSION(struct sram_error_status, 1))
        return finish(&call, ARGUMENT_VERSION_MISMATCH);
    const char *text = attribute(&call, "ecc.sram");
    if (!text || parse_numbers(text, numbers, 12) != 12)
        return finish(&call, NOT_SUPPORTED);
    for (int i = 0; i < 11; i++)
        status->counts[i] = numbers[i];
    status->threshold_exceeded = numbers[11] != 0;
    return finish(&call, SUCCESS);
}

/* ---- remapped rows (Ampere and later) ---- */

NVML(nvmlDeviceGetRemappedRows, nvmlDevice_t device, unsigned *correctable,
     unsigned *uncorrectable, unsigned *pending, unsigned *failure)
{
    struct call call = begin_device(__func__, device);
    nvmlReturn_t code = get_u32(&call, "remapped_rows.correctable", correctable);
    if (code == SUCCESS)
        code = get_u32(&call, "remapped_rows.uncorrectable", uncorrectable);
    if (code == SUCCESS)
        code = get_u32(&call, "remapped_rows.pending", pending);
    if (code == SUCCESS)
        code = get_u32(&call, "remapped_rows.failure", failure);
    return finish(&call, code);
}

NVML(nvmlDeviceGetRowRemapperHistogram, nvmlDevice_t device,
     struct row_remapper_histogram *histogram)
{
    struct call call = begin_device(__func__, device);
    const char *text = attribute(&call, "remapped_rows.histogram");
    uint64_t banks[5];
    if (!text || parse_numbers(text, banks, 5) != 5)
        return finish(&call, NOT_SUPPORTED);
    if (!histogram)
        return finish(&call, INVALID_ARGUMENT);
    *histogram = (struct row_remapper_histogram){
        (unsigned)banks[0], (unsigned)banks[1], (unsigned)banks[2], (unsigned)banks[3],
        (unsigned)banks[4],
    };
    return finish(&call, SUCCESS);
}

/* ---- retired pages (before Ampere) ---- */

/* pynvml's first call to the newer function leaves `timestamps` out, so it may be anything at all
 * until there is room for the pages. */
static nvmlReturn_t retired_pages(struct call call, unsigned cause, unsigned *count,
                                  uint64_t *addresses, uint64_t *timestamps)
{
    static const char *const keys[] = {"retired_pages.single_bit", "retired_pages.double_bit"};
    if (cause > 1 || !count)
        return finish(&call, INVALID_ARGUMENT);
    const char *text = attribute(&call, keys[cause]);
    if (!text)
        return finish(&call, NOT_SUPPORTED);
    struct page pages[MAX_LIST];
    int length = parse_pages(text, pages, MAX_LIST);
    bool room = *count >= (unsigned)length && (length == 0 || addresses);
    *count = (unsigned)length;
    for (int i = 0; room && i < length; i++) {
        addresses[i] = pages[i].address;
        if (timestamps)
            timestamps[i] = pages[i].timestamp;
    }
    return finish(&call, room ? SUCCESS : INSUFFICIENT_SIZE);
}

NVML(nvmlDeviceGetRetiredPages, nvmlDevice_t device, unsigned cause, unsigned *count,
     uint64_t *addresses)
{
    return retired_pages(begin_device(__func__, device), cause, count, addresses, NULL);
}

NVML(nvmlDeviceGetRetiredPages_v2, nvmlDevice_t device, unsigned cause, unsigned *count,
     uint64_t *addresses, uint64_t *timestamps)
{
    return retired_pages(begin_device(__func__, device), cause, count, addresses, timestamps);
}

U32_GETTER(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pages.pending")

/* ---- field values: the call succeeds, each field carries its own code ---- */

/* What a field shows when the scenario does not name it: the same state by another road. */
static const char *field_alias(uint32_t field)
{
    static const struct { uint32_t field; const char *key; } aliases[] = {
        {1, "ecc.mode"},
        {3, "ecc.volatile.corrected"},
        {4, "ecc.volatile.uncorrected"},
        {5, "ecc.aggregate.corrected"},
        {6, "ecc.aggregate.uncorrected"},
        {31, "retired_pages.pending"},
        {94, "pcie.replay_counter"},
        {142, "remapped_rows.correctable"},
        {143, "remapped_rows.uncorrectable"},
        {144, "remapped_rows.pending"},
        {145, "remapped_rows.failure"},
        {230, "recovery_action"},
    };
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (aliases[i].field == field)
            return aliases[i].key;
    }
    return NULL;
}

static void fill_field(const struct call *call, struct field_value *value)
{
    enum { DOUBLE, UINT, ULONG, ULL, SLL, INT, USHORT };
    char key[48];
    snprintf(key, sizeof key, value->scope ? "field.%u.%u" : "field.%u", value->field,
             value->scope);
    const char *text = attribute(call, key);
    const char *alias = text || value->scope ? NULL : field_alias(value->field);
    if (alias)
        text = attribute(call, alias);

    struct field field;
    if (!text || !parse_field(text, &field))
        field = (struct field){.code = NOT_SUPPORTED, .type = UINT};
    value->timestamp = (int64_t)time(NULL) * 1000000;
    value->latency = 0;
    value->code = field.code;
    value->type = field.type;
    value->value.ull = 0;
    switch (field.type) {
    case DOUBLE: value->value.d = field.value.d; break;
    case UINT: value->value.ui = (unsigned)field.value.u; break;
    case ULONG: value->value.ul = (unsigned long)field.value.u; break;
    case ULL: value->value.ull = field.value.u; break;
    case SLL: value->value.sll = field.value.s; break;
    case INT: value->value.si = (int)field.value.s; break;
    case USHORT: value->value.us = (unsigned short)field.value.u; break;
    }
}

NVML(nvmlDeviceGetFieldValues, nvmlDevice_t device, int count, struct field_value *values)
{
    struct call call = begin_device(__func__, device);
    if (count <= 0 || !values)
        return finish(&call, INVALID_ARGUMENT);
    for (int i = 0; i < count && call.code == SUCCESS; i++)
        fill_field(&call, &values[i]);
    return finish(&call, SUCCESS);
}
