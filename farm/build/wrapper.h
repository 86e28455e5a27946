/* What the files of the compiler wrapper share. */

/* Says what is wrong, and exits with 127. */
void die(const char *what, const char *why);

/* Memory that was asked for; dies without. */
void *checked(void *memory);

/* Runs a call in two steps if it is one of those that wrapper_split.c is for. `mode` is cc or c++, `words` what comes
   after it. Returns the exit code, or -1 if the call is to be made as it is. */
int split(char *compiler, char *mode, char **words);
