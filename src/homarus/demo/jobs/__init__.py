"""The demo's work. Each module is a program:

    python -m homarus.demo.jobs.NAME --input DIR --out FILE

All but `report` look at the files of DIR and write one JSON object (`_job.py` says which); `report`
takes the directory of those results and writes Markdown. They need only the standard library, read
nothing but DIR, write nothing but FILE, and say the same about the same files every time.
"""
