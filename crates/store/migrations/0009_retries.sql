-- The attempts of a retry of a run are counted from 1 again, and are others than those before.
alter table task_attempt
    add column retry integer not null default 0,
    drop constraint task_attempt_pkey,
    add primary key (run, task, index, retry, attempt);

-- A task that a retry begins anew is decided anew, and whoever is asked then is asked by that.
create or replace function ask_again() returns trigger language plpgsql as $$
begin
    delete from human_task where run = new.run and task = new.task and index = new.index;
    return null;
end
$$;
