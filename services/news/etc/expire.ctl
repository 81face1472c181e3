/remember/:30
*:A:never:never:never
