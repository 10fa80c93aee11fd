/* The text of a scenario value -> numbers, lists, bus ids. Pure: no state, no I/O. */
#include "fake.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads an unsigned number; *end is what follows it. */
static bool digits(const char *text, uint64_t *number, const char **end)
{
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *first = hexadecimal ? text + 2 : text;
    if (!strchr(hexadecimal ? "0123456789abcdefABCDEF" : "0123456789", *first) || !*first)
        return false;
    char *stop;
    errno = 0;
    *number = strtoull(first, &stop, hexadecimal ? 16 : 10);
    *end = stop;
    return errno == 0;
}

bool parse_number(const char *text, uint64_t *number)
{
    static const struct { const char *word; uint64_t number; } words[] = {
        {"on", 1}, {"true", 1}, {"off", 0}, {"false", 0},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].word) == 0) {
            *number = words[i].number;
            return true;
        }
    }
    static const struct { const char *name; unsigned shift; } units[] = {
        {"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30},
    };
    const char *unit;
    uint64_t value;
    if (!digits(text, &value, &unit))
        return false;
    unit += strspn(unit, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0 && value <= UINT64_MAX >> units[i].shift) {
            *number = value << units[i].shift;
            return true;
        }
    }
    return false;
}

bool parse_seconds(const char *text, double *seconds)
{
    if (strcmp(text, "wedge") == 0) {
        *seconds = INFINITY;
        return true;
    }
    char *end;
    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*seconds) && *seconds >= 0;
}

bool parse_version(const char *text, struct version *version)
{
    int length = 0;
    return sscanf(text, "%3u.%3u%n", &version->major, &version->minor, &length) == 2 &&
           text[length] == '\0';
}

/* Both notations: the library's "00000000:1B:00.0" and the kernel's "0000:1b:00.0". */
bool parse_bus_id(const char *text, struct bus_id *id)
{
    int length = 0;
    return sscanf(text, "%8x:%2x:%2x.0%n", &id->domain, &id->bus, &id->device, &length) == 3 &&
           length > 0 && text[length] == '\0';
}

bool parse_uuid_bytes(const char *text, unsigned char bytes[16])
{
    int count = 0;
    while (*text) {
        if (*text == '-') {
            text++;
            continue;
        }
        char pair[3] = {text[0], text[1], '\0'};
        if (count == 16 || strspn(pair, "0123456789abcdefABCDEF") != 2)
            return false;
        bytes[count++] = (unsigned char)strtoul(pair, NULL, 16);
        text += 2;
    }
    return count == 16;
}

/* "[type:]number", or "error:code" for a field that carries a return code instead of a value. */
bool parse_field(const char *text, struct field *field)
{
    static const char *const types[] = {"double", "uint", "ulong", "ull", "sll", "int", "ushort"};
    enum { DOUBLE = 0, UINT = 1, SIGNED_LONG_LONG = 4, INT = 5 };

    const char *colon = strchr(text, ':');
    const char *number = colon ? colon + 1 : text;
    size_t length = colon ? (size_t)(colon - text) : 0;
    char *end;

    *field = (struct field){.code = SUCCESS, .type = UINT};
    if (length == 5 && strncmp(text, "error", length) == 0) {
        uint64_t code;
        if (!parse_number(number, &code) || code > UNKNOWN)
            return false;
        field->code = (nvmlReturn_t)code;
        return true;
    }
    if (colon) {
        unsigned type = 0;
        const unsigned count = sizeof types / sizeof *types;
        while (type < count &&
               (strlen(types[type]) != length || strncmp(text, types[type], length) != 0))
            type++;
        if (type == count)
            return false;
        field->type = type;
    }
    if (field->type == DOUBLE) {
        field->value.d = strtod(number, &end);
        return end != number && *end == '\0';
    }
    if (field->type == SIGNED_LONG_LONG || field->type == INT) {
        field->value.s = strtoll(number, &end, 10);
        return end != number && *end == '\0';
    }
    return parse_number(number, &field->value.u);
}

/* Copies the next word of a list separated by blanks or commas; false at its end. */
static bool next_word(const char **cursor, char word[64])
{
    *cursor += strspn(*cursor, " \t,");
    size_t length = strcspn(*cursor, " \t,");
    if (length == 0)
        return false;
    snprintf(word, 64, "%.*s", (int)length, *cursor);
    *cursor += length;
    return true;
}

int parse_numbers(const char *text, uint64_t *numbers, int most)
{
    char word[64];
    int count = 0;
    for (; next_word(&text, word); count++) {
        if (count == most || !parse_number(word, &numbers[count]))
            return -1;
    }
    return count;
}

/* Cuts a word at a separator, in place; returns the number of parts. */
static int cut(char *word, char separator, char *parts[], int most)
{
    int count = 0;
    for (char *part = word; part; count++) {
        if (count == most)
            return -1;
        parts[count] = part;
        part = strchr(part, separator);
        if (part)
            *part++ = '\0';
    }
    return count;
}

/* "pid:memory", or "pid:memory:gpu instance:compute instance"; memory may be "na". */
int parse_processes(const char *text, struct process *processes, int most)
{
    char word[64], *parts[4];
    int count = 0;
    for (; next_word(&text, word); count++) {
        uint64_t numbers[4] = {0, UINT64_MAX, UINT32_MAX, UINT32_MAX};
        int length = cut(word, ':', parts, 4);
        if (count == most || (length != 2 && length != 4))
            return -1;
        for (int i = 0; i < length; i++) {
            bool unknown = i == 1 && strcmp(parts[i], "na") == 0;
            if (!unknown && !parse_number(parts[i], &numbers[i]))
                return -1;
        }
        if (numbers[0] > INT_MAX || numbers[2] > UINT32_MAX || numbers[3] > UINT32_MAX)
            return -1;
        processes[count] = (struct process){
            .pid = (unsigned)numbers[0],
            .memory = numbers[1],
            .gpu_instance = (unsigned)numbers[2],
            .compute_instance = (unsigned)numbers[3],
        };
    }
    return count;
}

/* "address", or "address@timestamp". */
int parse_pages(const char *text, struct page *pages, int most)
{
    char word[64], *parts[2];
    int count = 0;
    for (; next_word(&text, word); count++) {
        int length = cut(word, '@', parts, 2);
        if (count == most || length < 1)
            return -1;
        pages[count].timestamp = 0;
        if (!parse_number(parts[0], &pages[count].address) ||
            (length == 2 && !parse_number(parts[1], &pages[count].timestamp)))
            return -1;
    }
    return count;
}
