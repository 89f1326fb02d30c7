/* The machine a figure comes from: a figure without it says little. */
#ifndef SHOW_MACHINE_H
#define SHOW_MACHINE_H

struct machine {
    char system[96];    /* "Linux 6.1.0" */
    char processor[96]; /* "AMD EPYC" */
    int cores;          /* that this process may use */
};

/* Fills it in; what cannot be found out is "unknown". */
void machine_look(struct machine *machine);

#endif
