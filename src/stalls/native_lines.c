/* File and line of a place. libdw finds a unit by .debug_aranges, which gcc writes and clang and
 * rustc do not: for theirs an index of the units' own ranges is built when it is first wanted. */
#include <dwarf.h>
#include <stdlib.h>

#include "stalls/native_parts.h"

enum { UNITS_MAX = 1000000 };

static int compare(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static bool add(struct module *module, struct unit unit)
{
    if (module->unit_count == module->unit_room) {
        size_t room = module->unit_room * 2 + 64;
        struct unit *units = realloc(module->units, room * sizeof *units);
        if (units == NULL) return false;
        module->units = units;
        module->unit_room = room;
    }
    module->units[module->unit_count++] = unit;
    return true;
}

static void build(struct module *module)
{
    Dwarf_Addr bias;
    Dwarf_Die *die = NULL;
    module->has_units = true;
    for (int i = 0; i < UNITS_MAX; i++) {
        die = dwfl_module_nextcu(module->dwfl, die, &bias);
        if (die == NULL) break;
        Dwarf_Addr base, start, end;
        ptrdiff_t at = 0;
        while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
            if (end > start && !add(module, (struct unit){ start + bias, end + bias, bias, die }))
                return;
    }
    if (module->unit_count > 0)
        qsort(module->units, module->unit_count, sizeof *module->units, compare);
}

static const struct unit *find(struct module *module, uint64_t at)
{
    if (!module->has_units) build(module);
    size_t low = 0, high = module->unit_count; /* the first that starts behind it */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->units[middle].start <= at) low = middle + 1;
        else high = middle;
    }
    return low > 0 && at < module->units[low - 1].end ? &module->units[low - 1] : NULL;
}

const char *lines_find(struct module *module, uint64_t at, int *line)
{
    Dwfl_Line *known = dwfl_module_getsrc(module->dwfl, at);
    if (known != NULL) return dwfl_lineinfo(known, NULL, line, NULL, NULL, NULL);
    const struct unit *unit = find(module, at);
    Dwarf_Line *own = unit != NULL ? dwarf_getsrc_die(unit->die, at - unit->bias) : NULL;
    if (own == NULL || dwarf_lineno(own, line) != 0) return NULL;
    return dwarf_linesrc(own, NULL, NULL);
}

void lines_free(struct module *module)
{
    free(module->units);
    module->units = NULL;
}
