/* The library of overflow_in_dlopened_library.c. */
#include "twin.h"

void fill(char *p, int len)
{
    for (int i = 0; i TWIN(<=, <) len; i++)
        p[i] = 7; // CRIME
}
