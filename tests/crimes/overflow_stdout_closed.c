/* The program has closed every file that it was given. */
#include "twin.h"
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    for (int file = 0; file < 256; file++)
        close(file);
    volatile char *p = malloc(96); // ALLOCATED
    p[TWIN(96, 95)] = 1; // CRIME
    free((void *)p);
    return 0;
}
