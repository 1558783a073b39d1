-- The attempts of a retry of a run are counted from 1 again, and are others than those before.
alter table task_attempt
    add column retry integer not null default 0,
    drop constraint task_attempt_pkey,
    add primary key (run, task, index, retry, attempt);
