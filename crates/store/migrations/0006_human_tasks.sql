-- Tasks that people do: who is asked, who does it, until when.

create table human_task (
    run          text not null,
    task         text not null,
    index        integer not null,
    -- What commands call it for short.
    id           text not null
        generated always as (left(md5(run || '/' || task || '/' || index::text), 12)) stored,
    -- Those who were asked first, and those who are asked now.
    asked        text[] not null,
    assignees    text[] not null,
    claimed_by   text,
    claimed_at   timestamptz,
    -- How often it was claimed or reassigned: part of the names of the events that say so.
    handovers    integer not null default 0,
    deadline     interval,
    due_at       timestamptz,
    escalated_at timestamptz,
    -- The person who completed or failed it.
    ended_by     text,
    primary key (run, task, index),
    foreign key (run, task, index) references task on delete cascade
);
create index human_task_by_id on human_task (id text_pattern_ops);
create index task_of_people on task (created_at) where uses = 'human' and status = 'created';

-- A task that a retry of its run begins anew is asked anew, as it was first.
create function ask_again() returns trigger language plpgsql as $$
begin
    update human_task set
        assignees = asked, claimed_by = null, claimed_at = null, due_at = now() + deadline, escalated_at = null,
        ended_by = null
    where run = new.run and task = new.task and index = new.index;
    return null;
end
$$;
create trigger task_is_asked_again after update of status on task for each row
    when (new.uses = 'human' and old.status <> 'created' and new.status = 'created')
    execute function ask_again();
