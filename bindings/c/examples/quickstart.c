#include <pthread.h>
#include <stdio.h>
#include <turtle.h>

static void *produce(void *ring) {
    for (uint64_t number = 1; number <= 1000; number++)
        turtle_push(ring, &number, TURTLE_FOREVER); /* waits while the ring is full */
    turtle_close(ring);
    return NULL;
}

int main(void) {
    turtle_options options;
    turtle_buffer *ring;
    pthread_t worker;
    uint64_t number, sum = 0;
    turtle_options_init(&options);
    options.strategy = TURTLE_TURN;
    options.capacity = 64;
    if (turtle_open(&options, &ring) != TURTLE_OK) return fputs(turtle_last_error(), stderr), 1;
    if (pthread_create(&worker, NULL, produce, ring) != 0) return 1;
    while (turtle_pop(ring, &number, TURTLE_FOREVER) == TURTLE_OK) sum += number; /* until closed and drained */
    pthread_join(worker, NULL);
    turtle_free(ring);
    printf("sum %llu\n", (unsigned long long)sum);
    return sum != 500500;
}
