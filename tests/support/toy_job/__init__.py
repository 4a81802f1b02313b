"""A job from outside nanomg: how far a body falls. All of it is in this folder."""

from nanomg.jobs import Job

JOB = Job("fall", "Fall", "A body that falls", ("fall",), "Let a body fall for a while.")
