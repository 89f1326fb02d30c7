/* Functions and scripts, read once and kept. The collector moves them: a SharedFunctionInfo that
 * still stands where it stood, word for word, is the one that is known; any other is read anew and
 * then told by its script and its place there, which never change. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/javascript_heap.h"

/* From this many on, a ScopeInfo keeps the names of its variables in one hash table
 * (kScopeInfoMaxInlinedLocalNamesSize), and it has no more than that for real. */
enum { SCOPE_NAMES_INLINED_MAX = 75, SCOPE_NAMES_MAX = 1 << 16, EARLY_BYTES_MAX = 1 << 19 };

static int bucket_of(uint64_t value)
{
    return (int)((value >> 3 ^ value >> 15) % V8_BUCKETS);
}

/* "file:///a%20b" as "/a b"; any other name as it is. What eval() and the like were given has none.
 * */
static const char *file_of(const char *name)
{
    char path[1024];
    size_t at = 0;
    if (name == NULL) return "(eval)";
    if (strncmp(name, "file://", 7) != 0) return name;
    for (name += 7; *name != '\0' && at + 1 < sizeof path; name++) {
        char hex[3] = {name[0], name[1], name[1] != '\0' ? name[2] : '\0'};
        if (hex[0] == '%' && isxdigit((unsigned char)hex[1]) && isxdigit((unsigned char)hex[2])) {
            hex[0] = hex[1];
            hex[1] = hex[2];
            hex[2] = '\0';
            path[at++] = (char)strtol(hex, NULL, 16);
            name += 2;
        } else {
            path[at++] = *name;
        }
    }
    path[at] = '\0';
    return text_keep(path);
}

static bool is_runtime_name(const char *name)
{
    return name != NULL &&
           (strncmp(name, "node:", 5) == 0 || strcmp(name, "[eval]-wrapper") == 0 ||
            strcmp(name, "[worker eval]-wrapper") == 0);
}

/* Copies a short source while it stands; a long one is read when a line is asked for. */
static void copy_source(struct javascript *javascript, struct javascript_script *script)
{
    size_t bytes = (size_t)script->text.length * (script->text.is_two_byte ? 2 : 1);
    if (script->source != NULL || script->is_runtime || bytes == 0 || bytes > V8_SOURCE_EARLY ||
        javascript->early_bytes + bytes > EARLY_BYTES_MAX)
        return;
    void *source = malloc(bytes);
    if (source == NULL || !v8_read_now(javascript, script->text.address, source, bytes)) {
        free(source);
        return;
    }
    javascript->early_bytes += bytes;
    script->source = source;
}

static struct javascript_script *script_at(struct javascript *javascript, uint64_t object)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t word, source;
    struct v8_text text = {0};
    if (v8_type(javascript, object) != layout->type_script) return NULL;
    /* The number stands between line_ends and eval_from_shared; it has no constant of its own. */
    if (layout->script_eval_from != layout->script_line_ends + 16) return NULL;
    int32_t id = v8_number(javascript, object, layout->script_line_ends + 8);
    const char *name = NULL;
    if (v8_word(javascript, object, layout->script_name, &word)) name = v8_name(javascript, word);
    if (!v8_word(javascript, object, layout->script_source, &source) ||
        !v8_text(javascript, source, &text))
        return NULL;
    struct javascript_script *script = javascript->scripts;
    while (script != NULL &&
           (script->id != id || script->name != name || script->text.length != text.length))
        script = script->next;
    if (script == NULL) {
        script = calloc(1, sizeof *script);
        if (script == NULL) return NULL;
        script->id = id;
        script->name = name;
        script->file = file_of(name);
        script->is_runtime = is_runtime_name(name);
        script->next = javascript->scripts;
        javascript->scripts = script;
    }
    script->address = object;
    script->text = text;
    copy_source(javascript, script);
    return script;
}

/* The parts of a ScopeInfo, in words after its map; 0: there is none such. */
struct scope { uint64_t object; uint32_t flags; int positions, optional; };

/* Flags, parameters, variables; from V8 13 on the positions of the function, and flags that are no
 * tagged number; the variables' names and what they are; then the optional parts. */
static bool scope_open(struct javascript *javascript, uint64_t object, struct scope *out)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t flags;
    if (v8_type(javascript, object) != layout->type_scope ||
        !v8_word(javascript, object, 8, &flags))
        return false;
    int32_t locals = v8_number(javascript, object, 8 + 8 * layout->scope_locals);
    if (locals < 0 || locals > SCOPE_NAMES_MAX) return false;
    int variables = (locals < SCOPE_NAMES_INLINED_MAX ? locals : 1) + locals;
    *out = (struct scope){object, (uint32_t)(flags >> 32), 0, layout->scope_first + variables};
    if ((uint32_t)flags != 0) out->flags = (uint32_t)flags;
    if (layout->scope_first >= layout->scope_locals + 3) out->positions = layout->scope_locals + 1;
    return true;
}

/* Reads name and place of a function from its ScopeInfo. Which optional parts it has is told by
 * bits of its flags: bit 10, a class's variable (a word); bits 12 and 13, the function's name and
 * variable (two); bit 14, an inferred name (one); then come the positions of its beginning and end
 * (two). They have no constants: what they lead to must look like it. */
static bool read_scope_at(struct javascript *javascript, const struct scope *scope, int at,
                          struct javascript_function *function)
{
    const char *own = NULL, *inferred = NULL;
    uint64_t name;
    if (scope->flags >> 10 & 1) at++;
    if (scope->flags >> 12 & 3) {
        if (!v8_word(javascript, scope->object, 8 + 8 * at, &name)) return false;
        own = v8_name(javascript, name);
        if (own == NULL && name != 0) return false; /* neither a name nor the number 0 */
        at += 2;
    }
    if (scope->flags >> 14 & 1) {
        if (v8_word(javascript, scope->object, 8 + 8 * at, &name))
            inferred = v8_name(javascript, name);
        at++;
    }
    if (scope->positions != 0) at = scope->positions;
    int32_t begin = v8_number(javascript, scope->object, 8 + 8 * at);
    int32_t end = v8_number(javascript, scope->object, 16 + 8 * at);
    if (begin < 0 || end < begin || (uint32_t)end > function->script->text.length) return false;
    if (own != NULL && own[0] != '\0') function->name = own;
    else if (inferred != NULL && inferred[0] != '\0') function->name = inferred;
    function->begin = begin;
    function->end = end;
    return true;
}

static void read_scope(struct javascript *javascript, uint64_t object,
                       struct javascript_function *function)
{
    struct scope scope;
    if (!scope_open(javascript, object, &scope)) return;
    /* From V8 12 on a module has one word more, before the names. */
    if (!read_scope_at(javascript, &scope, scope.optional, function))
        read_scope_at(javascript, &scope, scope.optional + 1, function);
}

uint64_t v8_bytecode(struct javascript *javascript, uint64_t shared, uint64_t *baseline)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t data;
    *baseline = 0;
    if (!v8_word(javascript, shared, layout->shared_data, &data)) return 0;
    for (int hop = 0; hop < 3; hop++) {
        int type = v8_type(javascript, data);
        if (type < 0) return 0;
        if (type == layout->type_bytecode) return data;
        int32_t next;
        if (type == layout->type_code) {
            *baseline = data;
            next = layout->code_bytecode;
        } else if (type == layout->type_interpreter_data) {
            next = 8; /* its first member (interpreter-data: bytecode_array) */
        } else {
            return 0;
        }
        if (!v8_word(javascript, data, next, &data)) return 0;
    }
    return 0;
}

static void read_bytecode(struct javascript *javascript, uint64_t shared,
                          struct javascript_function *function)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t baseline, table;
    uint64_t bytecode = v8_bytecode(javascript, shared, &baseline);
    if (bytecode == 0 || function->script->is_runtime) return;
    function->bytecode = v8_bytes(javascript, bytecode, layout->bytecode_data,
                                  &function->bytecode_count);
    if (v8_word(javascript, bytecode, layout->bytecode_table, &table) &&
        v8_bytes_length(javascript, table) >= 0)
        function->positions = v8_bytes(javascript, table, layout->array_data,
                                       &function->position_count);
}

static void free_function(struct javascript_function *function)
{
    if (function == NULL) return;
    free(function->bytecode);
    free(function->positions);
    free(function);
}

static struct javascript_function *read_function(struct javascript *javascript, uint64_t shared,
                                                 const uint8_t *words)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t script, name;
    if (v8_type(javascript, shared) != layout->type_shared) return NULL;
    if (!v8_word(javascript, shared, layout->shared_script, &script)) return NULL;
    /* With a debugger or for coverage a DebugInfo stands in between: {function, hints, script}. */
    if (v8_type(javascript, script) == layout->type_debug_info &&
        !v8_word(javascript, script, 24, &script))
        return NULL;
    struct javascript_script *known = script_at(javascript, script);
    struct javascript_function *function = known != NULL ? calloc(1, sizeof *function) : NULL;
    if (function == NULL) return NULL;
    memcpy(function->words, words, sizeof function->words);
    function->shared = shared;
    function->script = known;
    function->begin = function->end = -1;
    if (v8_word(javascript, shared, layout->shared_name, &name)) {
        function->name = v8_name(javascript, name);
        if (function->name == NULL) read_scope(javascript, name, function);
    }
    if (function->name == NULL || function->name[0] == '\0') function->name = "(anonymous)";
    read_bytecode(javascript, shared, function);
    return function;
}

static bool is_same_place(const struct javascript_function *a, const struct javascript_function *b)
{
    return a->script == b->script && a->begin == b->begin && a->end == b->end &&
           a->name == b->name && a->bytecode_count == b->bytecode_count &&
           (a->bytecode_count == 0 ||
            memcmp(a->bytecode, b->bytecode, (size_t)a->bytecode_count) == 0);
}

/* Puts a function where its address leads to, from where its old one did. One that could not be
 * read in full, in the middle of a collection, is to be read again the next time. */
static void place_shared(struct javascript *javascript, struct javascript_function *function,
                         const struct javascript_function *now)
{
    struct javascript_function **at = &javascript->by_shared[bucket_of(function->shared)];
    while (*at != NULL && *at != function) at = &(*at)->next;
    if (*at == function) *at = function->next;
    function->shared = now->shared;
    memmove(function->words, now->words, sizeof function->words);
    if (function->begin < 0 || (function->positions == NULL && !function->script->is_runtime))
        return;
    at = &javascript->by_shared[bucket_of(function->shared)];
    function->next = *at;
    *at = function;
}

struct javascript_function *v8_function(struct javascript *javascript, uint64_t shared)
{
    uint8_t words[V8_SHARED_BYTES];
    if (!v8_member(javascript, shared, 0, words, sizeof words)) return NULL;
    struct javascript_function *known = javascript->by_shared[bucket_of(shared)];
    for (; known != NULL; known = known->next)
        if (known->shared == shared && memcmp(known->words, words, sizeof words) == 0)
            return known;
    struct javascript_function *now = read_function(javascript, shared, words);
    if (now == NULL) return NULL;
    uint64_t place = (uint64_t)(now->begin + 1) * 8191 + (uint64_t)(now->script->id + 1) * 65599;
    struct javascript_function **bucket = &javascript->by_place[place % V8_BUCKETS];
    for (known = *bucket; known != NULL; known = known->next_same_place)
        if (is_same_place(known, now)) break;
    if (known != NULL) {
        if (known->positions == NULL) {
            known->positions = now->positions;
            known->position_count = now->position_count;
            now->positions = NULL;
        }
        place_shared(javascript, known, now);
        free_function(now);
        return known;
    }
    if (javascript->function_count == V8_FUNCTIONS_MAX) { /* it makes them for ever */
        free_function(now);
        return NULL;
    }
    javascript->function_count++;
    now->next_same_place = *bucket;
    *bucket = now;
    place_shared(javascript, now, now);
    return now;
}

void v8_functions_free(struct javascript *javascript)
{
    for (int i = 0; i < V8_BUCKETS; i++) {
        struct javascript_function *at = javascript->by_place[i], *next;
        for (; at != NULL; at = next) {
            next = at->next_same_place;
            free_function(at);
        }
    }
    for (struct javascript_script *at = javascript->scripts, *next; at != NULL; at = next) {
        next = at->next;
        free(at->source);
        free(at->line_ends);
        free(at);
    }
}
