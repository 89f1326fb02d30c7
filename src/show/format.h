/* Numbers and texts as people, JSON and XML read them. */
#ifndef SHOW_FORMAT_H
#define SHOW_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Writes 12345 as "12,345". Each function here gives text back. */
char *format_count(int64_t number, char *text, size_t room);

/* Writes "1 connection" or "12,345 connections". */
char *format_things(int64_t number, const char *thing, char *text, size_t room);

/* Writes with three significant digits: "0.05", "8.24", "74.1", "1,731". */
char *format_short(double number, char *text, size_t room);

/* Writes nanoseconds as the shortest exact duration an option would take: "1500ms", "5s". */
char *format_duration(int64_t ns, char *text, size_t room);

/* Writes nanoseconds as a measured time: "231 us", "2.10 ms", "1.23 s". */
char *format_time(int64_t ns, char *text, size_t room);

/* Writes a size as an option would take it: "64", "16k", "1m". */
char *format_size(int64_t bytes, char *text, size_t room);

/* Writes an amount of data: "512 bytes", "7.91 MB". */
char *format_bytes(double bytes, char *text, size_t room);

/* Writes text so that a terminal shows it and does nothing else: what is no valid UTF-8, controls
 * and marks that turn the direction of writing become '?'. Never cuts within a character. */
char *format_safe(const char *from, char *text, size_t room);

/* The number of characters of valid UTF-8. */
size_t format_width(const char *text);

/* Leaves out the middle of valid UTF-8 until width characters are left. */
char *format_elided(const char *from, size_t width, char *text, size_t room);

/* Prints a JSON string, quotes included. */
void format_json(FILE *to, const char *text);

/* Prints text for XML: safe, and with what XML takes for itself escaped. */
void format_xml(FILE *to, const char *text);

#endif
