/* Frees a variable of the stack. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char local[64] = "local";
    char *volatile p = TWIN(local, NULL);
    free(p); // CRIME
    puts(local);
    return 0;
}
