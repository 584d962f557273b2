import sys; sys.path.insert(0,'/tmp/t21/calibrate/site')
import numpy as np, scipy
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
# deterministic logits without a random generator
def make(n, c, scale):
    z=[[scale*np.sin(7.0*i+3.0*j+0.5*i*j) for j in range(c)] for i in range(n)]
    z=np.array(z)
    y=[]
    for i in range(n):
        y.append(int(z[i].argmax()) if i%3 else (i*2)%c)
    return z.astype(np.float32), np.array(y)
def nll(z,y,T):
    l=log_softmax(z.astype(np.float64)/T,axis=1); return -l[np.arange(len(y)),y].mean()
def guo(z,y,T,bins=15):
    p=softmax(z.astype(np.float64)/T,axis=1); conf=p.max(1); acc=p.argmax(1)==y
    b=np.linspace(0,1,bins+1); e=0
    for lo,hi in zip(b[:-1],b[1:]):
        m=(conf>lo)&(conf<=hi)
        if m.any(): e+=abs(conf[m].mean()-acc[m].mean())*m.mean()
    return e
for n,c,s in [(60,4,6.0),(40,3,0.7)]:
    z,y=make(n,c,s)
    r=minimize_scalar(lambda b: nll(z,y,1/b), bounds=(0.1,10), method='bounded', options={'xatol':1e-13})
    T=1/r.x
    print(n,c,s,'acc',(z.argmax(1)==y).mean(),'T',T,'nll',nll(z,y,1),nll(z,y,T),'ece',guo(z,y,1),guo(z,y,T), scipy.__version__)
