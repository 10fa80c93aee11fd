/*
 * Event sets, and the append-only file whose lines become events.
 *
 * A line is "gpu=1 xid=79", or in full "gpu=1 type=0x8 data=79 gi=0 ci=0". Each set delivers a line
 * once, and only if it was written after the set registered for that GPU and that type of event.
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SETS = 64, MAX_REGISTRATIONS = 128, MAX_LINE = 256, XID = 0x8 };

static const double POLL_SECONDS = 0.01;

struct registration {
    int gpu;
    uint64_t types;
    off_t since; /* where the event file ended then */
};

static struct event_set {
    bool used;
    unsigned serial;
    int count;
    struct registration registrations[MAX_REGISTRATIONS];
    dev_t device; /* of the event file that `offset` is about; 0: none yet */
    ino_t inode;
    off_t offset; /* what lies before it is delivered, or was never wanted */
} sets[MAX_SETS];

struct event {
    int gpu;
    uint64_t type, data;
    unsigned gpu_instance, compute_instance;
};

/* ---- handles: an index, and a serial number so a freed set is not taken for a new one ---- */

#define SET_MARK ((uintptr_t)0x4553)

static nvmlEventSet_t set_handle(const struct event_set *set)
{
    return (nvmlEventSet_t)(SET_MARK << 48 | (uintptr_t)set->serial << 8 | (uintptr_t)(set - sets));
}

static struct event_set *find_set(nvmlEventSet_t handle)
{
    struct event_set *set = &sets[(uintptr_t)handle % MAX_SETS];
    return set->used && set_handle(set) == handle ? set : NULL;
}

void event_sets_discard(void)
{
    for (int i = 0; i < MAX_SETS; i++)
        sets[i].used = false;
}

/* ---- the file ---- */

static bool events_path(const struct scenario *scenario, char path[PATH_MAX])
{
    const char *chosen = getenv("FAKE_NVML_EVENTS");
    if (chosen)
        return snprintf(path, PATH_MAX, "%s", chosen) < PATH_MAX;
    return scenario_path(scenario, "events_file", path);
}

/* Opens the event file if it holds something beyond the set's offset. A file that was replaced or
 * cut short is read from its beginning. Returns -1 when there is nothing to read. */
static int open_events(struct event_set *set, const struct scenario *scenario, off_t *size)
{
    char path[PATH_MAX];
    struct stat now;
    if (!events_path(scenario, path) || stat(path, &now) != 0)
        return -1;
    *size = now.st_size;
    bool known = set->device == now.st_dev && set->inode == now.st_ino;
    if (!known || now.st_size < set->offset) {
        set->device = now.st_dev;
        set->inode = now.st_ino;
        set->offset = 0;
        for (int i = 0; i < set->count; i++)
            set->registrations[i].since = 0;
    }
    return now.st_size > set->offset ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* NULL when the line is in order, else what is wrong with it. */
static const char *parse_event(char *line, struct event *event)
{
    *event = (struct event){-1, XID, 0, UINT32_MAX, UINT32_MAX};
    bool has_data = false;
    for (char *word; (word = strsep(&line, " \t\r"));) {
        uint64_t number;
        if (*word == '\0')
            continue;
        char *value = strchr(word, '=');
        if (!value || !parse_number(value + 1, &number))
            return "expected name=number";
        *value = '\0';
        if (strcmp(word, "gpu") == 0 && number < MAX_GPUS)
            event->gpu = (int)number;
        else if (strcmp(word, "type") == 0)
            event->type = number;
        else if (strcmp(word, "xid") == 0 || strcmp(word, "data") == 0) {
            event->data = number;
            has_data = true;
        } else if (strcmp(word, "gi") == 0)
            event->gpu_instance = (unsigned)number;
        else if (strcmp(word, "ci") == 0)
            event->compute_instance = (unsigned)number;
        else
            return "expected gpu, xid, type, data, gi or ci";
    }
    return event->gpu < 0 || !has_data ? "expected at least gpu= and xid=" : NULL;
}

static bool wanted(const struct event_set *set, const struct event *event, off_t where)
{
    for (int i = 0; i < set->count; i++) {
        const struct registration *registration = &set->registrations[i];
        if (registration->gpu == event->gpu && registration->types & event->type &&
            registration->since <= where)
            return true;
    }
    return false;
}

/* The set's next event: SUCCESS, or TIMEOUT when there is none yet. */
static nvmlReturn_t next_event(struct event_set *set, const struct scenario *scenario,
                               struct event *event)
{
    nvmlReturn_t code = TIMEOUT;
    off_t size;
    int file = open_events(set, scenario, &size);
    while (file >= 0 && code == TIMEOUT) {
        char line[MAX_LINE];
        ssize_t length = pread(file, line, sizeof line - 1, set->offset);
        if (length <= 0)
            break;
        line[length] = '\0';
        char *end = memchr(line, '\n', (size_t)length);
        if (!end && length < (ssize_t)sizeof line - 1)
            break; /* still being written */
        const char *complaint = end ? NULL : "line too long";
        off_t where = set->offset;
        set->offset += end ? end - line + 1 : length;
        if (end)
            *end = '\0';
        if (!complaint && line[strspn(line, " \t\r")] == '\0')
            continue;
        if (!complaint)
            complaint = parse_event(line, event);
        if (complaint) {
            fprintf(stderr, "fake NVML: event file, byte %lld: %s\n", (long long)where, complaint);
            code = UNKNOWN;
        } else if (wanted(set, event, where)) {
            code = SUCCESS;
        }
    }
    if (file >= 0)
        close(file);
    return code;
}

/* ---- the calls ---- */

NVML(nvmlEventSetCreate, nvmlEventSet_t *handle)
{
    static unsigned serial;
    struct call call = begin(__func__);
    if (call.code != SUCCESS || !handle)
        return finish(&call, INVALID_ARGUMENT);
    nvmlReturn_t code = INSUFFICIENT_RESOURCES;
    library_lock();
    for (int i = 0; i < MAX_SETS && code != SUCCESS; i++) {
        if (!sets[i].used) {
            sets[i] = (struct event_set){.used = true, .serial = ++serial};
            *handle = set_handle(&sets[i]);
            code = SUCCESS;
        }
    }
    library_unlock();
    return finish(&call, code);
}

NVML(nvmlEventSetFree, nvmlEventSet_t handle)
{
    struct call call = begin(__func__);
    if (call.code != SUCCESS)
        return finish(&call, call.code);
    library_lock();
    struct event_set *set = find_set(handle);
    if (set)
        set->used = false;
    library_unlock();
    return finish(&call, set ? SUCCESS : INVALID_ARGUMENT);
}

U64_GETTER(nvmlDeviceGetSupportedEventTypes, "events.supported")

static nvmlReturn_t add_registration(const struct call *call, uint64_t types, nvmlEventSet_t handle)
{
    off_t size = 0;
    struct event_set *set = find_set(handle);
    if (!set || call->mig >= 0)
        return INVALID_ARGUMENT;
    if (set->count == MAX_REGISTRATIONS)
        return INSUFFICIENT_RESOURCES;
    int file = open_events(set, call->scenario, &size);
    if (file >= 0)
        close(file);
    if (set->count == 0)
        set->offset = size;
    set->registrations[set->count++] = (struct registration){call->gpu, types, size};
    return SUCCESS;
}

NVML(nvmlDeviceRegisterEvents, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t handle)
{
    struct call call = begin_device(__func__, device);
    uint64_t supported;
    nvmlReturn_t code = get_u64(&call, "events.supported", &supported);
    if (code == SUCCESS && types & ~supported)
        code = NOT_SUPPORTED; /* and none of them is registered */
    if (code == SUCCESS) {
        library_lock();
        code = add_registration(&call, types, handle);
        library_unlock();
    }
    return finish(&call, code);
}

/* Looks for an event once; TIMEOUT means not yet. */
static nvmlReturn_t look(struct call *call, nvmlEventSet_t handle, struct event_data *data)
{
    struct event event;
    library_lock();
    scenario_release(call->scenario);
    call->scenario = NULL;
    struct event_set *set = find_set(handle);
    nvmlReturn_t code = SUCCESS;
    if (!library_is_initialized())
        code = UNINITIALIZED;
    else if (!set)
        code = INVALID_ARGUMENT;
    else if (!(call->scenario = scenario_acquire()))
        code = UNKNOWN;
    else
        code = forced_code(call);
    if (code == SUCCESS)
        code = next_event(set, call->scenario, &event);
    if (code == SUCCESS)
        *data = (struct event_data){device_handle(event.gpu, -1), event.type, event.data,
                                    event.gpu_instance, event.compute_instance};
    library_unlock();
    return code;
}

/* Blocks until there is an event, or the time is up. An early return would let a caller that spins
 * look healthy. */
NVML(nvmlEventSetWait_v2, nvmlEventSet_t handle, struct event_data *data, unsigned milliseconds)
{
    struct call call = begin(__func__);
    if (call.code != SUCCESS || !data)
        return finish(&call, INVALID_ARGUMENT);
    double deadline = monotonic_seconds() + milliseconds / 1000.0;
    nvmlReturn_t code = look(&call, handle, data);
    if (code == TIMEOUT)
        call_log(&call, "waiting");
    while (code == TIMEOUT) {
        double left = deadline - monotonic_seconds();
        if (left <= 0)
            break;
        sleep_seconds(left < POLL_SECONDS ? left : POLL_SECONDS);
        code = look(&call, handle, data);
    }
    return finish(&call, code);
}
