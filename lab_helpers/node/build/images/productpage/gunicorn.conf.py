"""Read by gunicorn, which serves the page, from the folder that it starts in."""


def post_worker_init(worker):
    """Have connections wait in a queue of gevent's own.

    With Python's, whose locks gevent replaces, a request now and then waits for ever before it is sent (gevent's issue 1957): of some 200
    pages that have to wait for reviews, one never came.
    """
    import gevent.queue  # only here is everything patched
    import urllib3.connectionpool

    urllib3.connectionpool.ConnectionPool.QueueCls = gevent.queue.LifoQueue
