/* The scenario file: noticing that it changed, reading it, looking keys up. A scenario that has
 * been read is never modified; calls in flight keep theirs while a newer one takes its place. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    const char *key, *value;
    int line;
};

struct scenario {
    int references;
    size_t count;
    struct entry *entries; /* sorted by key, then by line */
    char *text;
};

static char file[PATH_MAX];
static struct stat seen; /* of the text that `newest` was made from, in order or not */
static bool missing;     /* said so already */
static struct scenario *newest;

void scenario_choose_file(void)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    snprintf(file, sizeof file, "%s", path ? path : "");
    seen = (struct stat){0};
    missing = false;
}

static void complain(int line, const char *complaint)
{
    if (!*file)
        fprintf(stderr, "fake NVML: FAKE_NVML_SCENARIO does not name a file\n");
    else if (line > 0)
        fprintf(stderr, "fake NVML: %s:%d: %s\n", file, line, complaint);
    else
        fprintf(stderr, "fake NVML: %s: %s\n", file, complaint);
}

static bool same_text(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino &&
           one->st_size == other->st_size && one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

static char *strip(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
    return text;
}

static int compare(const void *one, const void *other)
{
    const struct entry *left = one, *right = other;
    int order = strcmp(left->key, right->key);
    return order ? order : left->line - right->line;
}

/* Cuts the text into entries, in place. False, and a line on stderr, when one is not in order. */
static bool read_entries(struct scenario *scenario)
{
    size_t lines = 1;
    for (const char *at = scenario->text; *at; at++)
        lines += *at == '\n';
    scenario->entries = calloc(lines, sizeof *scenario->entries);
    if (!scenario->entries)
        return false;

    char *rest = scenario->text;
    for (int number = 1; rest; number++) {
        char *line = strsep(&rest, "\n");
        line[strcspn(line, "#")] = '\0';
        line = strip(line);
        if (*line == '\0')
            continue;
        char *equals = strchr(line, '=');
        if (!equals) {
            complain(number, "expected key = value");
            return false;
        }
        *equals = '\0';
        struct entry entry = {.key = strip(line), .value = strip(equals + 1), .line = number};
        const char *complaint = key_complaint(entry.key, entry.value);
        if (complaint) {
            complain(number, complaint);
            return false;
        }
        scenario->entries[scenario->count++] = entry;
    }
    qsort(scenario->entries, scenario->count, sizeof *scenario->entries, compare);
    return true;
}

static char *read_text(int descriptor, size_t size)
{
    char *text = malloc(size + 1);
    size_t length = 0;
    while (text && length < size) {
        ssize_t got = read(descriptor, text + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (text)
        text[length] = '\0';
    return text;
}

void scenario_release(struct scenario *scenario)
{
    if (scenario && --scenario->references == 0) {
        free(scenario->entries);
        free(scenario->text);
        free(scenario);
    }
}

/* Replaces `newest`, and leaves NULL there when the file cannot be used. */
static void reload(void)
{
    scenario_release(newest);
    newest = NULL;

    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &seen) != 0) {
        if (!missing)
            complain(0, strerror(errno));
        missing = true;
    } else {
        missing = false;
        struct scenario *scenario = calloc(1, sizeof *scenario);
        if (scenario) {
            scenario->references = 1;
            scenario->text = read_text(descriptor, (size_t)seen.st_size);
            if (scenario->text && read_entries(scenario))
                newest = scenario;
            else
                scenario_release(scenario);
        }
    }
    if (descriptor >= 0)
        close(descriptor);
}

struct scenario *scenario_acquire(void)
{
    struct stat now = {0};
    bool there = stat(file, &now) == 0;
    bool first = seen.st_ino == 0; /* also: it was not there last time, so look again */
    if (first || !there || !same_text(&now, &seen)) {
        seen = (struct stat){0};
        reload();
    }
    if (newest)
        newest->references++;
    return newest;
}

const char *scenario_value(const struct scenario *scenario, const char *format, ...)
{
    char key[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(key, sizeof key, format, arguments);
    va_end(arguments);

    /* The last entry with this key: a line appended to a scenario overrides what it says above. */
    size_t low = 0, high = scenario->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(scenario->entries[middle].key, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || strcmp(scenario->entries[low - 1].key, key) != 0)
        return NULL;
    return scenario->entries[low - 1].value;
}

bool scenario_path(const struct scenario *scenario, const char *key, char path[PATH_MAX])
{
    const char *value = scenario_value(scenario, "%s", key);
    if (!value)
        return false;
    const char *slash = strrchr(file, '/');
    int directory = *value != '/' && slash ? (int)(slash - file) + 1 : 0;
    return snprintf(path, PATH_MAX, "%.*s%s", directory, file, value) < PATH_MAX;
}
