"""Jobs: what comes again. Every wire's recurring tasks and schedules are rows of one table."""
