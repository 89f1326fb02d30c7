/* The answer of a name server, read record by record; whatever it holds, no byte beyond it is
 * looked at. It is read twice: only a whole one is taken. Records of other types (the CNAMEs on the
 * way) are passed over. */
#include <ares.h>
#include <string.h>

#include "dns/dns.h"

enum { HEADER_BYTES = 12, QUESTION_BYTES = 4, RECORD_BYTES = 10 /* behind the name of each */ };

struct reader {
    const unsigned char *message, *at, *end;
    struct lookup *lookup;          /* that the records go to; NULL: they are looked at only */
    size_t count;                   /* of records of the right type */
};

static unsigned read16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

static uint32_t read32(const unsigned char *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

/* Copies a name, and moves on behind it. Text may be NULL. */
static bool read_name(struct reader *reader, char *text)
{
    char *name;
    long len;
    int whole = (int)(reader->end - reader->message);
    if (reader->at >= reader->end) return false;
    if (ares_expand_name(reader->at, reader->message, whole, &name, &len) != ARES_SUCCESS)
        return false;
    size_t bytes = strlen(name);
    bool is_fitting = bytes < NAME_BYTES;
    if (text != NULL && is_fitting) memcpy(text, name, bytes + 1);
    ares_free_string(name);
    reader->at += len;
    return is_fitting && reader->at <= reader->end;
}

static void take(struct reader *reader, const struct hark_dns_record *record)
{
    reader->count++;
    if (reader->lookup != NULL) lookup_record(reader->lookup, record);
}

static bool read_text(struct reader *reader, const unsigned char *end,
                      struct hark_dns_record *record)
{
    size_t len = *reader->at++;
    if (len > (size_t)(end - reader->at)) return false;
    memcpy(record->text, reader->at, len);
    record->text[len] = '\0';
    record->text_len = (uint16_t)len;
    reader->at += len;
    record->continues = reader->at < end;
    return true;
}

static bool read_texts(struct reader *reader, const unsigned char *end,
                       struct hark_dns_record *record)
{
    while (reader->at < end) {
        if (!read_text(reader, end, record)) return false;
        take(reader, record);
    }
    return true;
}

static bool read_target(struct reader *reader, struct hark_dns_record *record)
{
    if (!read_name(reader, record->text)) return false;
    record->text_len = (uint16_t)strlen(record->text);
    return true;
}

static bool read_service(struct reader *reader, size_t len, struct hark_dns_record *record)
{
    if (len < 7) return false;
    record->priority = (uint16_t)read16(reader->at);
    record->weight = (uint16_t)read16(reader->at + 2);
    record->port = (uint16_t)read16(reader->at + 4);
    reader->at += 6;
    return read_target(reader, record);
}

/* The len bytes of one record of the type that was asked for. */
static bool read_data(struct reader *reader, size_t len, struct hark_dns_record *record)
{
    bool is_right = false;
    if (record->type == HARK_DNS_TXT) return read_texts(reader, reader->at + len, record);
    if (record->type == HARK_DNS_A && len == 4) {
        record->addr.v4.sin_family = AF_INET;
        memcpy(&record->addr.v4.sin_addr, reader->at, len);
        is_right = true;
    } else if (record->type == HARK_DNS_AAAA && len == 16) {
        record->addr.v6.sin6_family = AF_INET6;
        memcpy(&record->addr.v6.sin6_addr, reader->at, len);
        is_right = true;
    } else if (record->type == HARK_DNS_SRV) {
        is_right = read_service(reader, len, record);
    } else if (record->type == HARK_DNS_PTR) {
        is_right = read_target(reader, record);
    }
    if (is_right) take(reader, record);
    return is_right;
}

static bool read_record(struct reader *reader, enum hark_dns_type asked)
{
    struct hark_dns_record record = { .type = asked };
    if (!read_name(reader, NULL) || reader->end - reader->at < RECORD_BYTES) return false;
    unsigned type = read16(reader->at), class = read16(reader->at + 2);
    record.ttl_s = read32(reader->at + 4);
    size_t len = read16(reader->at + 8);
    reader->at += RECORD_BYTES;
    if (len > (size_t)(reader->end - reader->at)) return false;
    const unsigned char *next = reader->at + len;
    bool is_wanted = type == cares_type(asked) && class == 1;
    if (is_wanted && !read_data(reader, len, &record)) return false;
    reader->at = next;
    return true;
}

static bool read_message(struct reader *reader, enum hark_dns_type asked)
{
    const unsigned char *message = reader->message;
    if (reader->end - message < HEADER_BYTES) return false;
    unsigned questions = read16(message + 4), records = read16(message + 6);
    reader->at = message + HEADER_BYTES;
    for (unsigned i = 0; i < questions; i++) {
        if (!read_name(reader, NULL) || reader->end - reader->at < QUESTION_BYTES) return false;
        reader->at += QUESTION_BYTES;
    }
    for (unsigned i = 0; i < records; i++)
        if (!read_record(reader, asked)) return false;
    return true;
}

int answer_read(struct question *question, const unsigned char *message, int len)
{
    struct reader reader = { .message = message, .end = message + len };
    if (!read_message(&reader, question->type)) return HARK_ESERVER;
    if (reader.count == 0) return HARK_ENONAME;
    reader.lookup = question->lookup;
    return read_message(&reader, question->type) ? 0 : HARK_ESERVER;
}
