/* Reads V8's numbers from the file that holds it: node itself, or a libnode.so that is mapped. The
 * values of v8dbg_* are data of the file and need no look at the process; one that is zero stands
 * in .bss, so that there is nothing in the file to read. */
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stalls/javascript_layout.h"
#include "stalls/maps.h"

/* What is looked for; of a member without its type, which its symbol ends with. Without `is_needed`
 * something is still said of frames, only less; or another version has it by another name. */
struct constant { const char *symbol; size_t at; bool is_needed; };

#define AT(member) offsetof(struct v8_layout, member)

static const struct constant constants[] = {
    {"HeapObjectTag", AT(heap_tag), true},
    {"HeapObjectTagMask", AT(heap_tag_mask), true},
    {"SmiTag", AT(smi_tag), true},
    {"SmiTagMask", AT(smi_tag_mask), true},
    {"SmiShiftSize", AT(smi_shift_size), true},
    {"SmiValueShift", AT(smi_value_shift), true},
    {"SystemPointerSize", AT(word_bytes), true},
    {"TaggedSize", AT(tagged_bytes), true},
    {"off_fp_context_or_frame_type", AT(frame_context), true},
    {"off_fp_function", AT(frame_function), true},
    {"off_fp_bytecode_array", AT(frame_bytecode), false},
    {"off_fp_bytecode_offset", AT(frame_offset), false},
    {"class_HeapObject__map", AT(map), true},
    {"class_Map__instance_type", AT(map_type), true},
    {"class_JSFunction__shared", AT(function_shared), true},
    {"class_SharedFunctionInfo__function_data", AT(shared_data), false},
    {"class_SharedFunctionInfo__name_or_scope_info", AT(shared_name), true},
    {"class_SharedFunctionInfo__script_or_debug_info", AT(shared_script), false},
    {"class_SharedFunctionInfo__script", AT(shared_script), true},
    {"class_SharedFunctionInfo__flags", AT(shared_flags), true},
    {"class_Script__source", AT(script_source), true},
    {"class_Script__name", AT(script_name), true},
    {"class_Script__line_ends", AT(script_line_ends), true},
    {"class_Script__eval_from_shared_or_wrapped_arguments", AT(script_eval_from), true},
    {"class_Script__eval_from_shared_or_wrapped_arguments_or_sfi_table", AT(script_eval_from),
     false},
    {"class_String__length", AT(string_length), true},
    {"class_SeqOneByteString__chars", AT(one_byte_chars), true},
    {"class_SeqTwoByteString__chars", AT(two_byte_chars), true},
    {"class_ConsString__first", AT(cons_first), true},
    {"class_ConsString__second", AT(cons_second), true},
    {"class_SlicedString__parent", AT(sliced_parent), false},
    {"class_SlicedString__offset", AT(sliced_offset), false},
    {"class_ThinString__actual", AT(thin_actual), true},
    {"class_ExternalString__resource", AT(external_resource), false},
    {"class_FixedArrayBase__length", AT(array_length), false},
    {"class_FixedArray__data", AT(array_data), false},
    {"class_BytecodeArray__data", AT(bytecode_data), false},
    {"scopeinfo_idx_nparams", AT(scope_parameters), true},
    {"scopeinfo_idx_ncontextlocals", AT(scope_locals), true},
    {"scopeinfo_idx_first_vars", AT(scope_first), true},
    {"class_Code__deoptimization_data", AT(code_data), false},
    {"class_Code__bytecode_or_interpreter_data", AT(code_bytecode), false},
    {"class_Code__bytecode_offset_table", AT(code_table), false},
    {"class_Code__wrapper", AT(code_wrapper), false},
    {"class_Code__instruction_stream", AT(code_stream), false},
    {"class_Code__instruction_start", AT(code_begin), false},
    {"class_Code__flags", AT(code_flags), false},
    {"class_Code__instruction_size", AT(code_size), false},
    {"class_InstructionStream__instruction_start", AT(stream_start), false},
    {"class_BytecodeArray__wrapper", AT(bytecode_wrapper), false},
    {"DeoptimizationDataLiteralArrayIndex", AT(deopt_literals), false},
    {"DeoptimizationDataInliningPositionsIndex", AT(deopt_positions), false},
    {"FirstNonstringType", AT(string_last), true},
    {"StringRepresentationMask", AT(representation_mask), true},
    {"StringEncodingMask", AT(encoding_mask), true},
    {"OneByteStringTag", AT(one_byte_tag), true},
    {"SeqStringTag", AT(seq_tag), true},
    {"ConsStringTag", AT(cons_tag), true},
    {"ExternalStringTag", AT(external_tag), true},
    {"SlicedStringTag", AT(sliced_tag), false},
    {"ThinStringTag", AT(thin_tag), true},
    {"type_JSFunction__JS_FUNCTION_TYPE", AT(type_function), true},
    {"type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", AT(type_shared), true},
    {"type_Script__SCRIPT_TYPE", AT(type_script), true},
    {"type_ScopeInfo__SCOPE_INFO_TYPE", AT(type_scope), true},
    {"type_DebugInfo__DEBUG_INFO_TYPE", AT(type_debug_info), false},
    {"type_BytecodeArray__BYTECODE_ARRAY_TYPE", AT(type_bytecode), false},
    {"type_ByteArray__BYTE_ARRAY_TYPE", AT(type_bytes), false},
    {"type_TrustedByteArray__TRUSTED_BYTE_ARRAY_TYPE", AT(type_trusted_bytes), false},
    {"type_Code__CODE_TYPE", AT(type_code), false},
    {"type_InstructionStream__INSTRUCTION_STREAM_TYPE", AT(type_stream), false},
    {"type_InterpreterData__INTERPRETER_DATA_TYPE", AT(type_interpreter_data), false},
    {"FirstContextType", AT(type_context_first), true},
    {"LastContextType", AT(type_context_last), true},
    {"CodeKindFieldMask", AT(kind_mask), false},
    {"CodeKindBaseline", AT(kind_baseline), false},
    {"InterpreterBytecodeArrayRegister", AT(register_bytecode), false},
    {"InterpreterBytecodeOffsetRegister", AT(register_offset), false},
};

enum { CONSTANTS = sizeof constants / sizeof *constants };

static int32_t *place(struct v8_layout *layout, const struct constant *constant)
{
    return (int32_t *)(void *)((char *)layout + constant->at);
}

/* Reads the bytes of a symbol; false: it is not in the file. */
static bool symbol_bytes(Elf *elf, int fd, const GElf_Sym *symbol, void *out, size_t bytes)
{
    GElf_Shdr header;
    Elf_Scn *section = elf_getscn(elf, symbol->st_shndx);
    if (section == NULL || gelf_getshdr(section, &header) == NULL) return false;
    if (header.sh_type == SHT_NOBITS) {
        memset(out, 0, bytes);
        return true;
    }
    if (symbol->st_value < header.sh_addr) return false;
    uint64_t offset = symbol->st_value - header.sh_addr;
    if (offset > header.sh_size || bytes > header.sh_size - offset) return false;
    return pread(fd, out, bytes, (off_t)(header.sh_offset + offset)) == (ssize_t)bytes;
}

static bool is_named(const char *symbol, const char *name)
{
    size_t length = strlen(symbol);
    return strncmp(name, symbol, length) == 0 &&
           (name[length] == '\0' || strncmp(name + length, "__", 2) == 0);
}

/* A constant's number. */
static void take_constant(Elf *elf, int fd, const GElf_Sym *symbol, const char *name,
                          struct v8_layout *layout)
{
    int32_t value;
    if (symbol->st_size != sizeof value || !symbol_bytes(elf, fd, symbol, &value, sizeof value))
        return;
    for (int i = 0; i < CONSTANTS; i++)
        if (is_named(constants[i].symbol, name)) *place(layout, &constants[i]) = value;
}

/* The table of Bytecodes::Size, a row for each operand scale: not a symbol made for debuggers, and
 * missing from a stripped node; then baseline frames tell only where their function is. */
static void take_sizes(Elf *elf, int fd, const GElf_Sym *symbol, struct v8_layout *layout)
{
    size_t count = symbol->st_size / 3;
    if (symbol->st_size % 3 != 0 || count == 0 || count > V8_BYTECODES_MAX) return;
    uint8_t bytes[3 * V8_BYTECODES_MAX];
    if (!symbol_bytes(elf, fd, symbol, bytes, 3 * count)) return;
    for (size_t row = 0; row < 3; row++)
        memcpy(layout->bytecode_sizes[row], bytes + row * count, count);
    layout->bytecode_count = (int)count;
}

static void take_symbol(Elf *elf, int fd, const GElf_Sym *symbol, const char *name,
                        struct v8_layout *layout)
{
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE) return;
    if (strncmp(name, "v8dbg_", 6) == 0) {
        take_constant(elf, fd, symbol, name + 6, layout);
    } else if (strncmp(name, "Builtins_", 9) == 0) {
        uint64_t end = symbol->st_value + symbol->st_size;
        struct v8_range *builtins = &layout->builtins[0];
        if (builtins->end == 0 || symbol->st_value < builtins->begin)
            builtins->begin = symbol->st_value;
        if (end > builtins->end) builtins->end = end;
    } else if (strcmp(name, "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE") == 0) {
        take_sizes(elf, fd, symbol, layout);
    }
}

static void read_symbols(Elf *elf, int fd, struct v8_layout *layout)
{
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
        Elf_Data *data = elf_getdata(section, NULL);
        if (data == NULL || header.sh_entsize == 0) continue;
        int count = (int)(header.sh_size / header.sh_entsize);
        for (int i = 0; i < count; i++) {
            GElf_Sym symbol;
            const char *name;
            if (gelf_getsym(data, i, &symbol) == NULL) break;
            name = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (name != NULL) take_symbol(elf, fd, &symbol, name, layout);
        }
    }
}

/* Where the file's code stands in the process. An executable may have a place of its own; else its
 * addresses count from where it is mapped. */
static void read_segments(Elf *elf, uint64_t mapped_at, struct v8_layout *layout)
{
    GElf_Ehdr header;
    size_t count;
    uint64_t bias = 0;
    bool is_first = true;
    struct v8_range *builtins = &layout->builtins[0];
    if (gelf_getehdr(elf, &header) == NULL || elf_getphdrnum(elf, &count) != 0) return;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr program;
        if (gelf_getphdr(elf, (int)i, &program) == NULL || program.p_type != PT_LOAD) continue;
        if (is_first && header.e_type == ET_DYN)
            bias = mapped_at - (program.p_vaddr - program.p_offset);
        is_first = false;
        if (!(program.p_flags & PF_X)) continue;
        if (builtins->end != 0 && (builtins->begin < program.p_vaddr ||
                                   builtins->end > program.p_vaddr + program.p_memsz))
            continue;
        layout->text = (struct v8_range){bias + program.p_vaddr,
                                         bias + program.p_vaddr + program.p_memsz};
        layout->builtins_count = 1;
    }
    if (builtins->end == 0) *builtins = layout->text;
    else *builtins = (struct v8_range){builtins->begin + bias, builtins->end + bias};
}

/* Reads a file's numbers. Gives how many constants it told. */
static int read_file(int fd, uint64_t mapped_at, struct v8_layout *layout)
{
    memset(layout, 0, sizeof *layout);
    for (int i = 0; i < CONSTANTS; i++) *place(layout, &constants[i]) = V8_NOT_TOLD;
    if (fd < 0) return 0;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (elf != NULL && elf_kind(elf) == ELF_K_ELF) {
        read_symbols(elf, fd, layout);
        read_segments(elf, mapped_at, layout);
    }
    elf_end(elf);
    close(fd);
    int told = 0;
    for (int i = 0; i < CONSTANTS; i++) told += *place(layout, &constants[i]) != V8_NOT_TOLD;
    return told;
}

/* Finds the file of the process that tells anything: the executable, or a libnode. */
static int read_process(pid_t pid, struct v8_layout *layout)
{
    struct maps maps;
    struct mapping mapping;
    int told = 0;
    if (!maps_open(&maps, pid)) return 0;
    while (told == 0 && maps_next(&maps, &mapping)) {
        if (mapping.offset != 0) continue;
        if (mapping.is_program || strstr(mapping.path, "/libnode.so") != NULL)
            told = read_file(maps_open_file(&maps, &mapping), mapping.start, layout);
    }
    maps_close(&maps);
    if (told > 0) snprintf(layout->file, sizeof layout->file, "%s", mapping.path);
    return told;
}

void v8_layout_refresh(pid_t pid, struct v8_layout *layout)
{
    struct maps maps;
    struct mapping mapping;
    if (layout->builtins_count == 0 || !maps_open(&maps, pid)) return;
    layout->builtins_count = 1;
    while (layout->builtins_count < V8_BUILTINS_MAX && maps_next(&maps, &mapping)) {
        if (!mapping.is_code || strcmp(mapping.path, layout->file) != 0 ||
            (mapping.start < layout->text.end && mapping.end > layout->text.begin))
            continue;
        layout->builtins[layout->builtins_count++] =
            (struct v8_range){mapping.start, mapping.end};
    }
    maps_close(&maps);
}

bool v8_is_builtin(const struct v8_layout *layout, uint64_t pc)
{
    for (int i = 0; i < layout->builtins_count; i++)
        if (pc >= layout->builtins[i].begin && pc < layout->builtins[i].end) return true;
    return false;
}

/* What one version tells and another does not: then it follows from a neighbour. V8 11.3 (node 20)
 * has {data, table, stream, begin, flags, builtin, size} in Code and {length, constants, handlers,
 * table} in BytecodeArray; 12.4 (node 22) {data, table, wrapper, ...} and {length, wrapper, table}.
 * */
static void complete(struct v8_layout *layout)
{
    if (layout->shared_data == V8_NOT_TOLD) layout->shared_data = layout->map + 8; /* the first */
    if (layout->code_wrapper != V8_NOT_TOLD) {
        layout->code_table = layout->code_wrapper - 8;
        layout->code_data = layout->code_bytecode = layout->code_wrapper - 16;
    } else if (layout->code_table != V8_NOT_TOLD) {
        layout->code_stream = layout->code_table + 8;
        layout->code_begin = layout->code_table + 16;
        layout->code_flags = layout->code_table + 24;
        layout->code_size = layout->code_table + 32;
    }
    if (layout->bytecode_wrapper != V8_NOT_TOLD)
        layout->bytecode_table = layout->bytecode_wrapper + 8;
    else layout->bytecode_table = layout->array_length + 24;
}

int v8_layout_read(pid_t pid, struct v8_layout *layout, char *why, size_t room)
{
    why[0] = '\0';
    if (read_process(pid, layout) == 0) return 0;
    for (int i = 0; i < CONSTANTS; i++) {
        if (!constants[i].is_needed || *place(layout, &constants[i]) != V8_NOT_TOLD) continue;
        snprintf(why, room, "this V8 does not tell its layout: v8dbg_%s is missing",
                 constants[i].symbol);
        return -1;
    }
    if (layout->word_bytes != 8 || layout->tagged_bytes != 8) {
        snprintf(why, room, "a V8 with pointers of %d bytes in words of %d is not read",
                 layout->tagged_bytes, layout->word_bytes);
        return -1;
    }
    complete(layout);
    v8_layout_refresh(pid, layout);
    return 1;
}

/* The first four bytecodes are prefixes, odd ones for operands of four bytes, even ones for two: so
 * says V8's interpreter itself before it looks into the table (AdvanceBytecodeOffsetOrReturn). */
int v8_bytecode_length(const struct v8_layout *layout, const uint8_t *code, int count, int at)
{
    int row = 0, prefix = 0;
    if (at < 0 || at >= count) return 0;
    if (code[at] <= 3) {
        row = code[at] & 1 ? 2 : 1;
        prefix = 1;
    }
    if (at + prefix >= count || code[at + prefix] >= layout->bytecode_count) return 0;
    int length = layout->bytecode_sizes[row][code[at + prefix]];
    return length == 0 || at + prefix + length > count ? 0 : prefix + length;
}
