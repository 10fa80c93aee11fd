/* Which scenario keys exist, and which values each of them takes. A typing mistake in a scenario
 * must never look like a healthy GPU, so an unknown key is refused. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker gathers the names that NVML() notes between these two. */
extern const char *const __start_nvml_symbols[];
extern const char *const __stop_nvml_symbols[];

bool symbol_exists(const char *name)
{
    for (const char *const *symbol = __start_nvml_symbols; symbol < __stop_nvml_symbols; symbol++) {
        if (strcmp(*symbol, name) == 0)
            return true;
    }
    return false;
}

static bool at_most(const char *text, uint64_t most)
{
    uint64_t number;
    return parse_number(text, &number) && number <= most;
}

static bool is_text(const char *text) { return *text != '\0'; }
static bool is_u64(const char *text) { return at_most(text, UINT64_MAX); }
static bool is_u32(const char *text) { return at_most(text, UINT32_MAX); }
static bool is_switch(const char *text) { return at_most(text, 1); }
static bool is_code(const char *text) { return at_most(text, UNKNOWN); }
static bool is_gpu_count(const char *text) { return at_most(text, MAX_GPUS); }
static bool is_mig_count(const char *text) { return at_most(text, MAX_MIG_DEVICES); }

static bool is_seconds(const char *text)
{
    double seconds;
    return parse_seconds(text, &seconds);
}

static bool is_version(const char *text)
{
    struct version version;
    return parse_version(text, &version);
}

static bool is_bus_id(const char *text)
{
    struct bus_id id;
    return parse_bus_id(text, &id);
}

static bool is_uuid(const char *text)
{
    unsigned char bytes[16];
    return parse_uuid_bytes(text, bytes);
}

static bool is_field(const char *text)
{
    struct field field;
    return parse_field(text, &field);
}

static int length_of(const char *text)
{
    uint64_t numbers[MAX_LIST];
    return parse_numbers(text, numbers, MAX_LIST);
}

static bool is_list(const char *text) { return length_of(text) >= 0; }
static bool is_list_of_5(const char *text) { return length_of(text) == 5; }
static bool is_list_of_9(const char *text) { return length_of(text) == 9; }
static bool is_list_of_12(const char *text) { return length_of(text) == 12; }

static bool is_process_list(const char *text)
{
    struct process processes[MAX_LIST];
    return parse_processes(text, processes, MAX_LIST) >= 0;
}

static bool is_page_list(const char *text)
{
    struct page pages[MAX_LIST];
    return parse_pages(text, pages, MAX_LIST) >= 0;
}

struct rule {
    const char *key;
    bool (*accepts)(const char *text);
};

static const struct rule global_rules[] = {
    {"driver_version", is_text},
    {"nvml_version", is_text},
    {"cuda_version", is_version},
    {"gpu.count", is_gpu_count},
    {"events_file", is_text},
    {"call_log", is_text},
};

/* '#' stands for any number. */
static const struct rule gpu_rules[] = {
    {"uuid", is_text},
    {"name", is_text},
    {"serial", is_text},
    {"board_part_number", is_text},
    {"vbios_version", is_text},
    {"inforom.image_version", is_text},
    {"inforom.valid", is_switch},
    {"brand", is_u32},
    {"architecture", is_u32},
    {"compute_capability", is_version},
    {"compute_mode", is_u32},
    {"minor_number", is_u32},
    {"module_id", is_u32},
    {"numa_node", is_u32},
    {"persistence_mode", is_switch},
    {"performance_state", is_u32},
    {"pci.bus_id", is_bus_id},
    {"pci.device_id", is_u32},
    {"pci.subsystem_id", is_u32},
    {"pcie.generation", is_u32},
    {"pcie.width", is_u32},
    {"pcie.max_generation", is_u32},
    {"pcie.max_width", is_u32},
    {"pcie.replay_counter", is_u32},
    {"memory.total", is_u64},
    {"memory.reserved", is_u64},
    {"memory.used", is_u64},
    {"bar1.total", is_u64},
    {"bar1.used", is_u64},
    {"ecc.mode", is_switch},
    {"ecc.pending", is_switch},
    {"ecc.volatile.corrected", is_u64},
    {"ecc.volatile.uncorrected", is_u64},
    {"ecc.aggregate.corrected", is_u64},
    {"ecc.aggregate.uncorrected", is_u64},
    {"ecc.volatile.corrected.dram", is_u64},
    {"ecc.volatile.uncorrected.dram", is_u64},
    {"ecc.aggregate.corrected.dram", is_u64},
    {"ecc.aggregate.uncorrected.dram", is_u64},
    {"ecc.volatile.corrected.sram", is_u64},
    {"ecc.volatile.uncorrected.sram", is_u64},
    {"ecc.aggregate.corrected.sram", is_u64},
    {"ecc.aggregate.uncorrected.sram", is_u64},
    {"ecc.sram", is_list_of_12},
    {"remapped_rows.correctable", is_u32},
    {"remapped_rows.uncorrectable", is_u32},
    {"remapped_rows.pending", is_switch},
    {"remapped_rows.failure", is_switch},
    {"remapped_rows.histogram", is_list_of_5},
    {"retired_pages.single_bit", is_page_list},
    {"retired_pages.double_bit", is_page_list},
    {"retired_pages.pending", is_switch},
    {"recovery_action", is_u32},
    {"field.#", is_field},
    {"field.#.#", is_field},
    {"clocks_event_reasons", is_u64},
    {"clocks_event_reasons.supported", is_u64},
    {"clock.graphics", is_u32},
    {"clock.sm", is_u32},
    {"clock.memory", is_u32},
    {"clock.video", is_u32},
    {"clock.max.graphics", is_u32},
    {"clock.max.sm", is_u32},
    {"clock.max.memory", is_u32},
    {"clock.max.video", is_u32},
    {"temperature", is_u32},
    {"temperature.shutdown", is_u32},
    {"temperature.slowdown", is_u32},
    {"temperature.memory_max", is_u32},
    {"temperature.gpu_max", is_u32},
    {"power.usage", is_u32},
    {"power.limit", is_u32},
    {"power.enforced_limit", is_u32},
    {"energy", is_u64},
    {"utilization.gpu", is_u32},
    {"utilization.memory", is_u32},
    {"nvlink.states", is_list},
    {"nvlink.version", is_u32},
    {"nvlink.remote_type", is_u32},
    {"fabric.state", is_u32},
    {"fabric.status", is_code},
    {"fabric.clique", is_u32},
    {"fabric.cluster_uuid", is_uuid},
    {"fabric.health_mask", is_u32},
    {"fabric.health_summary", is_u32},
    {"fabric.newest_version", is_u32},
    {"processes.compute", is_process_list},
    {"processes.graphics", is_process_list},
    {"processes.mps", is_process_list},
    {"events.supported", is_u64},
    {"mig.mode", is_switch},
    {"mig.pending", is_switch},
    {"mig.max_devices", is_mig_count},
};

/* A MIG device has these besides what a GPU has. */
static const struct rule mig_rules[] = {
    {"gpu_instance", is_u32},
    {"compute_instance", is_u32},
    {"attributes", is_list_of_9},
};

#define LENGTH(rules) (sizeof(rules) / sizeof *(rules))

static const struct rule *find(const struct rule *rules, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rules[i].key, key) == 0)
            return &rules[i];
    }
    return NULL;
}

/* The length of the index that the text begins with. One way of writing it only: looking keys up
 * compares text, so "007" would be accepted here and never found. */
static size_t index_length(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return *text == '0' && length > 1 ? 0 : length;
}

/* Copies a key with each part that is a number replaced by '#'. */
static bool generalize(const char *key, char *general, size_t size)
{
    size_t used = 0;
    while (*key) {
        size_t length = strcspn(key, ".");
        bool number = length > 0 && index_length(key) == length;
        int written = snprintf(general + used, size - used, "%s%.*s", used ? "." : "",
                               number ? 1 : (int)length, number ? "#" : key);
        used += (size_t)written;
        if (used >= size)
            return false;
        key += length;
        if (*key == '.' && *++key == '\0')
            return false;
    }
    return true;
}

/* Steps over "prefix.N." when N is below the limit, or "prefix.*."; NULL when it is not there. */
static const char *after_index(const char *key, const char *prefix, unsigned long limit)
{
    size_t length = strlen(prefix);
    if (strncmp(key, prefix, length) != 0 || key[length] != '.')
        return NULL;
    key += length + 1;
    if (strcmp(prefix, "gpu") == 0 && strncmp(key, "*.", 2) == 0)
        return key + 2;
    length = index_length(key);
    return length > 0 && key[length] == '.' && strtoul(key, NULL, 10) < limit ? key + length + 1
                                                                              : NULL;
}

static const char *value_complaint(bool accepted)
{
    return accepted ? NULL : "the value does not fit the key";
}

/* "return.<symbol>" and "delay.<symbol>"; false when the key is neither. */
static bool steers_a_function(const char *key, const char *value, const char **complaint)
{
    bool returns = strncmp(key, "return.", 7) == 0;
    if (!returns && strncmp(key, "delay.", 6) != 0)
        return false;
    const char *symbol = strchr(key, '.') + 1;
    if (strcmp(symbol, "*") != 0 && !symbol_exists(symbol))
        *complaint = "no such function in this library";
    else
        *complaint = value_complaint(returns ? is_code(value) : is_seconds(value));
    return true;
}

const char *key_complaint(const char *key, const char *value)
{
    const char *complaint;
    if (steers_a_function(key, value, &complaint))
        return complaint;

    const struct rule *rule = find(global_rules, LENGTH(global_rules), key);
    const char *rest = after_index(key, "gpu", MAX_GPUS);
    char general[128];
    if (!rule && rest) {
        if (steers_a_function(rest, value, &complaint))
            return complaint;
        const char *mig = after_index(rest, "mig", MAX_MIG_DEVICES);
        if (generalize(mig ? mig : rest, general, sizeof general)) {
            rule = find(gpu_rules, LENGTH(gpu_rules), general);
            if (!rule && mig)
                rule = find(mig_rules, LENGTH(mig_rules), general);
        }
    }
    return rule ? value_complaint(rule->accepts(value)) : "unknown key";
}
