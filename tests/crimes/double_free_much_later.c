/* Frees a block a second time after 20,000 other blocks have come and gone. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *volatile p = malloc(300); // ALLOCATED
    free(p); // FREED
    for (int i = 0; i < 20000; i++)
        free(malloc(300));
    free(TWIN(p, NULL)); // CRIME
    puts("freed");
    return 0;
}
