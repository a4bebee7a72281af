/* Frees a text that lives in the program. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

static char name[64] = "static";

int main(void)
{
    char *volatile p = TWIN(name, NULL);
    free(p); // CRIME
    puts(name);
    return 0;
}
