/* A crime and its innocent twin are one source; they differ in the expression that TWIN picks. */
#ifdef INNOCENT
#define TWIN(guilty, innocent) innocent
#else
#define TWIN(guilty, innocent) guilty
#endif
